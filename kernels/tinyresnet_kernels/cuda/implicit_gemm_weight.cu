// The gradient of a convolution's weights: how much weight (o, tap, c) was used is a sum over all output pixels, whose order the sizes fix.
// Channels-last: numbers in the order N, H, W, C.
//
//     dweight (M, taps * K) = dy (pixels, M)^T @ columns (pixels, taps * K), a group of channels at a time
//
// The sum is long and the result small: from v2 on, the pixels are shared out among blocks (split-K). Each writes its partial sums, and
// `add_partials` adds them in order, so that the bits are the same on every run. The integers are those
// of the forward product (`geometry.py`).

#include "geometry.cuh"

// v1: one thread, one weight; straight loops over all pixels. Neighbouring threads have neighbouring channels.
extern "C" __global__ void __launch_bounds__(256, 4) implicit_gemm_weight_v1(const real* __restrict__ dy, const real* __restrict__ x,
                                                                          real* __restrict__ dweight, const int* __restrict__ geometry) {
    const Geometry& g = *reinterpret_cast<const Geometry*>(geometry);
    const int index = blockIdx.x * blockDim.x + threadIdx.x, channel = index % g.K, tap = index / g.K % g.taps(), o = index / g.K / g.taps();
    if (o >= g.O) return;
    real sum = real(0);
    for (int p = 0; p < g.pixels(); ++p) {
        const int from = place_read(g, Pixel(g, p), tap / g.across.taps, tap % g.across.taps, o / g.M * g.K + channel);
        sum = fma(dy[p * g.O + o], from < 0 ? real(0) : x[from], sum);
    }
    dweight[(o * g.K + channel) * g.taps() + tap] = sum;
}

// v2: 16x16 weights a block, from tiles of 16 pixels in shared memory. blockIdx.x counts tiles of outputs and, faster, of columns (tap, channel),
// y chunks of `chunk` pixels, z groups.
extern "C" __global__ void __launch_bounds__(256) implicit_gemm_weight_v2(const real* __restrict__ dy, const real* __restrict__ x,
                                                                          real* __restrict__ partials, const int* __restrict__ geometry, int chunk) {
    __shared__ real outputs[16 * 16], columns[16 * 16];
    const Geometry& g = *reinterpret_cast<const Geometry*>(geometry);
    const int x_ = threadIdx.x % 16, y_ = threadIdx.x / 16, length = g.taps() * g.K, across = (length + 15) / 16;
    const int top = blockIdx.x / across * 16, left = blockIdx.x % across * 16, column = left + x_, tap = column / g.K;
    const int begin = blockIdx.y * chunk, last = min(begin + chunk, g.pixels());
    real sum = real(0);
    for (int first = begin; first < last; first += 16) {
        const int p = first + y_;
        int from = -1;
        if (p < last && column < length) from = place_read(g, Pixel(g, p), tap / g.across.taps, tap % g.across.taps, blockIdx.z * g.K + column % g.K);
        outputs[y_ * 16 + x_] = p < last && top + x_ < g.M ? dy[p * g.O + blockIdx.z * g.M + top + x_] : real(0);
        columns[y_ * 16 + x_] = from < 0 ? real(0) : x[from];
        __syncthreads();
#pragma unroll
        for (int k = 0; k < 16; ++k) sum = fma(outputs[k * 16 + y_], columns[k * 16 + x_], sum);
        __syncthreads();
    }
    if (top + y_ < g.M && column < length) partials[((blockIdx.y * gridDim.z + blockIdx.z) * g.M + top + y_) * length + column] = sum;
}

// v3: a thread makes NEAR x 4 weights in registers, a block 16 NEAR outputs times 64 columns. A thread brings numbers of one pixel of each tile:
// it carries the pixel along from tile to tile, and its columns' taps and channels never change, so that the divisions are gone from the loop.
template <int NEAR>
__device__ __forceinline__ void block_of_weights(const real* dy, const real* x, real* partials, const int* geometry, int chunk, real* outputs, real* columns) {
    constexpr int PITCH = 16 * NEAR + (NEAR % 2 ? 0 : 16), COLUMN_PITCH = 80;  // two pixels of 16 numbers each are written to 32 different banks
    const Geometry& g = *reinterpret_cast<const Geometry*>(geometry);
    const int x_ = threadIdx.x % 16, y_ = threadIdx.x / 16, length = g.taps() * g.K, across = (length + 63) / 64;
    const int top = blockIdx.x / across * 16 * NEAR, left = blockIdx.x % across * 64;
    const int begin = blockIdx.y * chunk, last = min(begin + chunk, g.pixels());
    int down[4], right[4], channel[4];  // of this thread's columns: how far from the window's corner they look; -1: none
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        const int column = left + x_ + 16 * j, tap = column / g.K;
        down[j] = tap / g.across.taps * g.down.step * g.down.reach;
        right[j] = tap % g.across.taps * g.across.step * g.across.reach;
        channel[j] = column < length ? int(blockIdx.z) * g.K + column % g.K : -1;
    }
    Pixel pixel(g, begin + y_);
    real sum[NEAR][4];
#pragma unroll
    for (int i = 0; i < 4 * NEAR; ++i) sum[i / 4][i % 4] = real(0);
    for (int first = begin; first < last; first += 16) {
        const int p = first + y_, h = g.down.reads(pixel.u, 0), w = g.across.reads(pixel.v, 0);
#pragma unroll
        for (int i = 0; i < NEAR; ++i) {
            const int o = top + x_ + 16 * i;
            outputs[y_ * PITCH + x_ + 16 * i] = p < last && o < g.M ? dy[p * g.O + blockIdx.z * g.M + o] : real(0);
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const int row = h + down[j], column = w + right[j];
            const bool inside = p < last && channel[j] >= 0 && 0 <= row && row < g.down.size && 0 <= column && column < g.across.size;
            columns[y_ * COLUMN_PITCH + x_ + 16 * j] = inside ? x[((pixel.n * g.down.size + row) * g.across.size + column) * g.C + channel[j]] : real(0);
        }
        pixel.v += 16;
        while (pixel.v >= g.across.outputs) {
            pixel.v -= g.across.outputs;
            if (++pixel.u == g.down.outputs) pixel.u = 0, ++pixel.n;
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < 16; ++k) {
            real output[NEAR], column[4];
#pragma unroll
            for (int i = 0; i < NEAR; ++i) output[i] = outputs[k * PITCH + y_ + 16 * i];
#pragma unroll
            for (int j = 0; j < 4; ++j) column[j] = columns[k * COLUMN_PITCH + x_ + 16 * j];
#pragma unroll
            for (int i = 0; i < 4 * NEAR; ++i) sum[i / 4][i % 4] = fma(output[i / 4], column[i % 4], sum[i / 4][i % 4]);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 4 * NEAR; ++i) {
        const int o = top + y_ + 16 * (i / 4), column = left + x_ + 16 * (i % 4);
        if (o < g.M && column < length) partials[((blockIdx.y * gridDim.z + blockIdx.z) * g.M + o) * length + column] = sum[i / 4][i % 4];
    }
}

extern "C" __global__ void __launch_bounds__(256) implicit_gemm_weight_v3_16(const real* __restrict__ dy, const real* __restrict__ x,
                                                                             real* __restrict__ partials, const int* __restrict__ geometry, int chunk) {
    __shared__ real outputs[16 * 16], columns[16 * 80];
    block_of_weights<1>(dy, x, partials, geometry, chunk, outputs, columns);
}

extern "C" __global__ void __launch_bounds__(256, 3) implicit_gemm_weight_v3_64(const real* __restrict__ dy, const real* __restrict__ x,
                                                                             real* __restrict__ partials, const int* __restrict__ geometry, int chunk) {
    __shared__ real outputs[16 * 80], columns[16 * 80];
    block_of_weights<4>(dy, x, partials, geometry, chunk, outputs, columns);
}

// The partial sums (chunks, O, taps, K), added in order: dweight (O, K, KH, KW). A block of 32 x 8 threads adds 32 numbers: each eighth of it takes
// every eighth chunk, and the first one adds the eight sums.
extern "C" __global__ void __launch_bounds__(256) add_partials(const real* __restrict__ partials, real* __restrict__ dweight, int O, int taps, int K,
                                                               int chunks) {
    __shared__ real sums[8][32];
    const int lane = threadIdx.x % 32, part = threadIdx.x / 32, count = O * taps * K, index = blockIdx.x * 32 + lane;
    real sum = real(0);
    if (index < count)
        for (int chunk = part; chunk < chunks; chunk += 8) sum += partials[chunk * count + index];
    sums[part][lane] = sum;
    __syncthreads();
    if (part || index >= count) return;
#pragma unroll
    for (int i = 1; i < 8; ++i) sum += sums[i][lane];
    dweight[(index / K / taps * K + index % K) * taps + index / K % taps] = sum;
}
