# Both stages and explore, on the CPU: docker build -t face-factory . && docker run --rm face-factory make train
# For NVIDIA GPUs: docker build --build-arg TENSORFLOW='tensorflow[and-cuda]' -t face-factory .
FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends make python3-venv && rm -rf /var/lib/apt/lists/*

# The versions that were tested, what tensorflow[and-cuda] adds to them, buckets. The code comes later: it changes often.
ARG TENSORFLOW=tensorflow
COPY requirements-lock.txt requirements-bucket.txt /opt/
RUN python3 -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir -r /opt/requirements-lock.txt && \
    /opt/venv/bin/pip install --no-cache-dir "$TENSORFLOW" -r /opt/requirements-bucket.txt

# Any user may write into data/ and runs/: docker run --user "$(id -u)" -v "$PWD/runs:/face-factory/runs" ...
RUN useradd --create-home faces && install -d -m 1777 /face-factory/data /face-factory/runs
WORKDIR /face-factory
COPY . .
ENV PATH=/opt/venv/bin:$PATH VENV= HOME=/tmp
USER faces
CMD ["make"]
