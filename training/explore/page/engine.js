// The generator: layers as training/explore/layers.py describes them, one face at a time, on typed arrays.
"use strict";

function bytesOf(base64) {
  if (typeof atob === "function") {
    const text = atob(base64), bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }
  const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", values = new Uint8Array(128);
  for (let i = 0; i < 64; i++) values[digits.charCodeAt(i)] = i;
  const bytes = new Uint8Array(Math.floor(base64.replace(/=/g, "").length * 3 / 4));
  let bits = 0, held = 0, at = 0;
  for (let i = 0; i < base64.length && base64[i] !== "="; i++) {
    held = (held << 6 | values[base64.charCodeAt(i)]) & 0xffff;
    bits += 6;
    if (bits >= 8) { bits -= 8; bytes[at++] = held >> bits & 255; }
  }
  return bytes;
}

// Every half-precision number as a float: a table of 65,536.
function halves() {
  const table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits >> 15 ? -1 : 1, exponent = bits >> 10 & 31, fraction = bits & 1023;
    table[bits] = sign * (exponent ? Math.pow(2, exponent - 15) * (1 + fraction / 1024) : Math.pow(2, -24) * fraction);
  }
  return table;
}

function decoded(weights, table) {
  if (weights.single) return new Float32Array(bytesOf(weights.single).buffer);
  const stored = new Uint16Array(bytesOf(weights.half).buffer), floats = new Float32Array(stored.length);
  for (let i = 0; i < stored.length; i++) floats[i] = table[stored[i]];
  return floats;
}

// out[to..] += vector[from..] * kernel, kernel [inputs, outputs] from `at`.
function addProduct(out, to, vector, from, kernel, at, inputs, outputs) {
  if (outputs < 4) {
    for (let o = 0; o < outputs; o++) {
      let sum = 0;
      for (let i = 0; i < inputs; i++) sum += vector[from + i] * kernel[at + i * outputs + o];
      out[to + o] += sum;
    }
    return;
  }
  let i = 0;
  for (; i + 3 < inputs; i += 4) {
    const a = vector[from + i], b = vector[from + i + 1], c = vector[from + i + 2], d = vector[from + i + 3];
    let k = at + i * outputs, l = k + outputs, m = l + outputs, n = m + outputs;
    for (let o = to, end = to + outputs; o < end; o++)
      out[o] += a * kernel[k++] + b * kernel[l++] + c * kernel[m++] + d * kernel[n++];
  }
  for (; i < inputs; i++) {
    const a = vector[from + i];
    let k = at + i * outputs;
    for (let o = to, end = to + outputs; o < end; o++) out[o] += a * kernel[k++];
  }
}

function finished(out, layer, channels) {
  if (layer.bias) for (let i = 0, c = 0; i < out.length; i++) { out[i] += layer.bias[c]; if (++c === channels) c = 0; }
  if (layer.activation === "sigmoid") for (let i = 0; i < out.length; i++) out[i] = 1 / (1 + Math.exp(-out[i]));
  if (layer.activation === "tanh") for (let i = 0; i < out.length; i++) out[i] = Math.tanh(out[i]);
  return out;
}

const KINDS = {
  Dense(layer, [x]) {
    const outputs = layer.shape[0], out = new Float32Array(outputs);
    addProduct(out, 0, x.data, 0, layer.kernel, 0, x.data.length, outputs);
    return finished(out, layer, outputs);
  },
  EinsumDense(layer, [x]) {  // bc,hwc->bhwc
    const out = new Float32Array(layer.kernel.length), channels = x.data.length;
    for (let i = 0, c = 0; i < out.length; i++) { out[i] = x.data[c] * layer.kernel[i]; if (++c === channels) c = 0; }
    return out;
  },
  Reshape(layer, [x]) { return x.data; },
  Concatenate(layer, parts) {
    const out = new Float32Array(layer.shape[0]);
    let at = 0;
    for (const part of parts) { out.set(part.data, at); at += part.data.length; }
    return out;
  },
  Add(layer, [x, y]) { return x.data.map((value, i) => value + y.data[i]); },
  Multiply(layer, [x, scales]) {  // of each channel
    const channels = scales.data.length;
    return x.data.map((value, i) => value * scales.data[i % channels]);
  },
  ReLU(layer, [x]) { return x.data.map(value => value > 0 ? value : value * layer.slope); },
  LeakyReLU(layer, [x]) { return x.data.map(value => value > 0 ? value : value * layer.slope); },
  Rescaling(layer, [x]) { return x.data.map(value => value * layer.scale + layer.offset); },
  BatchNormalization(layer, [x]) {
    const out = new Float32Array(x.data.length), channels = layer.scale.length;
    for (let i = 0, c = 0; i < out.length; i++) {
      out[i] = x.data[i] * layer.scale[c] + layer.shift[c];
      if (++c === channels) c = 0;
    }
    return out;
  },
  UpSampling2D(layer, [x]) {
    const [height, width, channels] = layer.shape, out = new Float32Array(height * width * channels);
    for (let y = 0, at = 0; y < height; y++)
      for (let column = 0; column < width; column++, at += channels) {
        const from = ((y >> 1) * (width >> 1) + (column >> 1)) * channels;
        out.set(x.data.subarray(from, from + channels), at);
      }
    return out;
  },
  DepthwiseConv2D(layer, [x]) {
    const [height, width, channels] = layer.shape, out = new Float32Array(height * width * channels);
    const size = layer.size, before = size - 1 >> 1;
    for (let y = 0; y < height; y++) for (let column = 0; column < width; column++) {
      const to = (y * width + column) * channels;
      for (let ky = 0; ky < size; ky++) for (let kx = 0; kx < size; kx++) {
        const iy = y + ky - before, ix = column + kx - before;
        if (iy < 0 || ix < 0 || iy >= height || ix >= width) continue;
        const from = (iy * width + ix) * channels, at = (ky * size + kx) * channels;
        for (let c = 0; c < channels; c++) out[to + c] += x.data[from + c] * layer.kernel[at + c];
      }
    }
    return out;
  },
  Conv2D(layer, [x]) {  // stride 1, beyond the edge are zeros
    const [height, width, outputs] = layer.shape, inputs = x.shape[2], {size, groups} = layer;
    const out = new Float32Array(height * width * outputs), before = size - 1 >> 1;
    const each = inputs / groups, made = outputs / groups;
    for (let y = 0; y < height; y++) for (let column = 0; column < width; column++) {
      const to = (y * width + column) * outputs;
      for (let ky = 0; ky < size; ky++) for (let kx = 0; kx < size; kx++) {
        const iy = y + ky - before, ix = column + kx - before;
        if (iy < 0 || ix < 0 || iy >= height || ix >= width) continue;
        const from = (iy * width + ix) * inputs, at = (ky * size + kx) * each * outputs;
        if (groups === 1) { addProduct(out, to, x.data, from, layer.kernel, at, inputs, outputs); continue; }
        for (let group = 0; group < groups; group++)
          for (let i = 0; i < each; i++) {
            const a = x.data[from + group * each + i];
            let k = at + i * outputs + group * made;
            for (let o = to + group * made, end = o + made; o < end; o++) out[o] += a * layer.kernel[k++];
          }
      }
    }
    return finished(out, layer, outputs);
  },
  Conv2DTranspose(layer, [x]) {  // padded as TensorFlow pads "same"
    const [height, width, outputs] = layer.shape, [rows, columns, inputs] = x.shape, {size, stride} = layer;
    const out = new Float32Array(height * width * outputs), before = Math.max(size - stride, 0) >> 1;
    for (let ky = 0; ky < size; ky++) for (let kx = 0; kx < size; kx++) {
      const at = (ky * size + kx) * inputs * outputs;
      for (let iy = 0; iy < rows; iy++) {
        const y = iy * stride + ky - before;
        if (y < 0 || y >= height) continue;
        for (let ix = 0; ix < columns; ix++) {
          const column = ix * stride + kx - before;
          if (column < 0 || column >= width) continue;
          const from = (iy * columns + ix) * inputs;
          addProduct(out, (y * width + column) * outputs, x.data, from, layer.kernel, at, inputs, outputs);
        }
      }
    }
    return finished(out, layer, outputs);
  },
};

// Layers -> a function of {z, labels} that returns floats [height * width * channels], in [0, 1] but for rounding.
function generatorOf(layers) {
  const table = halves();
  const ready = layers.map(layer => {
    const own = Object.assign({}, layer);
    for (const name of ["kernel", "bias", "scale", "shift"])
      if (own[name] && typeof own[name] === "object") own[name] = decoded(own[name], table);
    return own;
  });
  return inputs => {
    const results = [];
    for (const layer of ready) {
      const data = layer.kind === "InputLayer"
        ? Float32Array.from(inputs[layer.name])
        : KINDS[layer.kind](layer, layer.inputs.map(index => results[index]));
      results.push({data, shape: layer.shape});
    }
    return results[results.length - 1].data;
  };
}
