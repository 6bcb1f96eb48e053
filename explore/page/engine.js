// The generator: layers as explore/page/layers.py describes them, one face at a time, on typed arrays.
"use strict";

/** Decodes an array of weights: float32, or float16 by a table of all its values. */
function decode({ single, half }, table) {
  const text = atob(single || half);
  const bytes = new Uint8Array(text.length).map((_, i) => text.charCodeAt(i));
  if (single) return new Float32Array(bytes.buffer);
  return new Float32Array(new Uint16Array(bytes.buffer)).map((bits) => table[bits]);
}

/** Returns every half-precision number as a float: a table of 65,536. */
function halves() {
  return new Float32Array(65536).map((_, bits) => {
    const sign = bits >> 15 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = (bits & 1023) / 1024;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction);
  });
}

/** out[to...] += vector[from...] * kernel, of which [inputs, outputs] begin at `at`, in rows of this length. */
function addProduct(out, to, outputs, vector, from, inputs, kernel, at, length = outputs) {
  if (outputs < 4) {
    for (let o = 0; o < outputs; o++) {
      let sum = 0;
      for (let i = 0; i < inputs; i++) sum += vector[from + i] * kernel[at + i * length + o];
      out[to + o] += sum;
    }
    return;
  }
  let i = 0;
  for (; i + 3 < inputs; i += 4) {
    const a = vector[from + i];
    const b = vector[from + i + 1];
    const c = vector[from + i + 2];
    const d = vector[from + i + 3];
    let k = at + i * length;
    let l = k + length;
    let m = l + length;
    let n = m + length;
    for (let o = to, end = to + outputs; o < end; o++) {
      out[o] += a * kernel[k++] + b * kernel[l++] + c * kernel[m++] + d * kernel[n++];
    }
  }
  for (; i < inputs; i++) {
    for (let o = 0; o < outputs; o++) out[to + o] += vector[from + i] * kernel[at + i * length + o];
  }
}

const ACTIVATIONS = { linear: null, sigmoid: (value) => 1 / (1 + Math.exp(-value)), tanh: Math.tanh };

/** Adds the bias and applies the activation. */
function finish(out, { bias, activation }) {
  if (bias) addToChannels(out, bias);
  return ACTIVATIONS[activation] ? out.map(ACTIVATIONS[activation]) : out;
}

function addToChannels(out, values) {
  for (let i = 0; i < out.length;) for (let c = 0; c < values.length; c++) out[i++] += values[c];
}

function scaleChannels(x, scales) {
  const out = new Float32Array(x.length);
  for (let i = 0; i < out.length;) for (let c = 0; c < scales.length; c++, i++) out[i] = x[i] * scales[c];
  return out;
}

/** Calls visit(pixel of the output, pixel of the input, place in the kernel) for all that lie within the image. */
function convolve([height, width], size, visit) {
  const before = (size - 1) >> 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let ky = Math.max(0, before - y); ky < Math.min(size, height + before - y); ky++) {
        for (let kx = Math.max(0, before - x); kx < Math.min(size, width + before - x); kx++) {
          visit(y * width + x, (y + ky - before) * width + x + kx - before, ky * size + kx);
        }
      }
    }
  }
}

const leaky = (layer, [x]) => x.data.map((value) => (value > 0 ? value : value * layer.slope));
const newImage = ([height, width, channels]) => new Float32Array(height * width * channels);

const KINDS = {
  InputLayer: (layer, _, given) => Float32Array.from(given[layer.name]),
  Dense(layer, [x]) {
    const out = new Float32Array(layer.shape[0]);
    addProduct(out, 0, out.length, x.data, 0, x.data.length, layer.kernel, 0);
    return finish(out, layer);
  },
  EinsumDense: (layer, [x]) => scaleChannels(layer.kernel, x.data), // bc,hwc->bhwc
  Reshape: (layer, [x]) => x.data,
  Concatenate: (layer, parts) => Float32Array.from(parts.flatMap((part) => [...part.data])),
  Add: (layer, [x, y]) => x.data.map((value, i) => value + y.data[i]),
  Multiply: (layer, [x, scales]) => scaleChannels(x.data, scales.data),
  ReLU: leaky,
  LeakyReLU: leaky,
  Rescaling: (layer, [x]) => x.data.map((value) => value * layer.scale + layer.offset),
  BatchNormalization(layer, [x]) {
    const out = scaleChannels(x.data, layer.scale);
    addToChannels(out, layer.shift);
    return out;
  },
  UpSampling2D(layer, [x]) {
    const [height, width, channels] = layer.shape;
    const out = newImage(layer.shape);
    for (let y = 0; y < height; y++) {
      for (let column = 0; column < width; column++) {
        const from = ((y >> 1) * (width >> 1) + (column >> 1)) * channels;
        out.set(x.data.subarray(from, from + channels), (y * width + column) * channels);
      }
    }
    return out;
  },
  DepthwiseConv2D(layer, [x]) {
    const out = newImage(layer.shape);
    const channels = layer.shape[2];
    convolve(layer.shape, layer.size, (to, from, place) => {
      for (let c = 0; c < channels; c++) {
        out[to * channels + c] += x.data[from * channels + c] * layer.kernel[place * channels + c];
      }
    });
    return out;
  },
  // Of stride 1; beyond the edge are zeros.
  Conv2D(layer, [x]) {
    const out = newImage(layer.shape);
    const { kernel, groups } = layer;
    const length = layer.shape[2];
    const inputs = x.shape[2] / groups;
    const outputs = length / groups;
    convolve(layer.shape, layer.size, (to, from, place) => {
      for (let group = 0; group < groups; group++) {
        const first = group * outputs;
        const at = place * inputs * length + first;
        const source = (from * groups + group) * inputs;
        addProduct(out, to * length + first, outputs, x.data, source, inputs, kernel, at, length);
      }
    });
    return finish(out, layer);
  },
  // Padded as TensorFlow pads "same".
  Conv2DTranspose(layer, [x]) {
    const [height, width, outputs] = layer.shape;
    const [rows, columns, inputs] = x.shape;
    const { size, stride } = layer;
    const out = newImage(layer.shape);
    const before = Math.max(size - stride, 0) >> 1;
    for (let ky = 0; ky < size; ky++) {
      for (let kx = 0; kx < size; kx++) {
        const at = (ky * size + kx) * inputs * outputs;
        for (let iy = 0; iy < rows; iy++) {
          for (let ix = 0; ix < columns; ix++) {
            const y = iy * stride + ky - before;
            const column = ix * stride + kx - before;
            if (y < 0 || y >= height || column < 0 || column >= width) continue;
            const [from, to] = [(iy * columns + ix) * inputs, (y * width + column) * outputs];
            addProduct(out, to, outputs, x.data, from, inputs, layer.kernel, at);
          }
        }
      }
    }
    return finish(out, layer);
  },
};

/** Layers -> a function of { z, labels } that returns floats [height * width * channels], in [0, 1] but for rounding. */
function generatorOf(layers) {
  const table = halves();
  const decoded = layers.map((layer) => {
    const weights = ["kernel", "bias", "scale", "shift"].filter((name) => typeof layer[name] === "object");
    return { ...layer, ...Object.fromEntries(weights.map((name) => [name, decode(layer[name], table)])) };
  });
  return (given) => {
    const results = [];
    for (const layer of decoded) {
      const inputs = layer.inputs.map((index) => results[index]);
      results.push({ data: KINDS[layer.kind](layer, inputs, given), shape: layer.shape });
    }
    return results.at(-1).data;
  };
}
