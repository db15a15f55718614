// The convolution forward, and the gradient of its input, as one matrix product whose columns are never written: their numbers are found by
// address arithmetic. Channels-last: numbers in the order N, H, W, C.
//
//     out (pixels, M) = columns (pixels, taps * K) @ weights (taps * K, M), a group of channels at a time
//
// `geometry.py` has what a class of output pixels is, and that forward and backward are the same walk.

#include "geometry.cuh"

// v1: one thread, one output; straight loops. Neighbouring threads have neighbouring outputs of one pixel.
__device__ __forceinline__ void one_output(const real* in, const real* weight, real* out, const int* geometry) {
    const Geometry& g = reinterpret_cast<const Geometry*>(geometry)[blockIdx.y];
    const int output = blockIdx.x * blockDim.x + threadIdx.x, m = output % g.M;
    if (output / g.M >= g.pixels()) return;
    const Pixel pixel(g, output / g.M);
    weight += blockIdx.z * g.weight_group;
    real sum = real(0);
    for (int i = 0; i < g.down.taps; ++i) {
        for (int j = 0; j < g.across.taps; ++j) {
            const int from = place_read(g, pixel, i, j, blockIdx.z * g.K);
            for (int k = 0; k < g.K; ++k) sum = fma(from < 0 ? real(0) : in[from + k], weight[place_weight(g, m, k, i, j)], sum);
        }
    }
    out[pixel.written(g) + blockIdx.z * g.M + m] = sum;
}

extern "C" __global__ void __launch_bounds__(256) implicit_gemm_v1(const real* __restrict__ x, const real* __restrict__ weight, real* __restrict__ y,
                                                                   const int* __restrict__ geometry) {
    one_output(x, weight, y, geometry);
}

extern "C" __global__ void __launch_bounds__(256) implicit_gemm_input_v1(const real* __restrict__ dy, const real* __restrict__ weight,
                                                                         real* __restrict__ dx, const int* __restrict__ geometry) {
    one_output(dy, weight, dx, geometry);
}

// v2: tiles of 16x16 of the columns and the weights in shared memory, as in a matrix product; each number is used 16 times. Where a number of
// the columns lies is found by divisions, anew for each one.
__device__ __forceinline__ void block_of_outputs(const real* in, const real* weight, real* out, const int* geometry, real* columns, real* weights) {
    const Geometry& g = reinterpret_cast<const Geometry*>(geometry)[blockIdx.y];
    const Tile tile(g, 16, 16);
    const int x = threadIdx.x % 16, y = threadIdx.x / 16, m = tile.output + x, length = g.taps() * g.K, pixels = g.pixels();
    if (tile.pixel >= pixels) return;  // classes differ in size
    const Pixel pixel(g, min(tile.pixel + y, pixels - 1));
    weight += blockIdx.z * g.weight_group;
    real sum = real(0);
    for (int first = 0; first < length; first += 16) {
        int k = first + x, tap = k / g.K;
        const int from = k < length ? place_read(g, pixel, tap / g.across.taps, tap % g.across.taps, blockIdx.z * g.K + k % g.K) : -1;
        columns[y * 16 + x] = from < 0 ? real(0) : in[from];
        k = first + y, tap = k / g.K;
        const bool there = k < length && m < g.M;
        weights[y * 16 + x] = there ? weight[place_weight(g, m, k % g.K, tap / g.across.taps, tap % g.across.taps)] : real(0);
        __syncthreads();
#pragma unroll
        for (k = 0; k < 16; ++k) sum = fma(columns[y * 16 + k], weights[k * 16 + x], sum);
        __syncthreads();
    }
    if (tile.pixel + y < pixels && m < g.M) out[pixel.written(g) + blockIdx.z * g.M + m] = sum;
}

extern "C" __global__ void __launch_bounds__(256) implicit_gemm_v2(const real* __restrict__ x, const real* __restrict__ weight, real* __restrict__ y,
                                                                   const int* __restrict__ geometry) {
    __shared__ real columns[16 * 16], weights[16 * 16];
    block_of_outputs(x, weight, y, geometry, columns, weights);
}

extern "C" __global__ void __launch_bounds__(256) implicit_gemm_input_v2(const real* __restrict__ dy, const real* __restrict__ weight,
                                                                         real* __restrict__ dx, const int* __restrict__ geometry) {
    __shared__ real columns[16 * 16], weights[16 * 16];
    block_of_outputs(dy, weight, dx, geometry, columns, weights);
}

// v3: a thread makes 4 pixels times NEAR outputs in registers, a block 64 pixels times 16 NEAR. A thread brings numbers of one k of each tile:
// it carries k's tap and channel along from tile to tile, so that the divisions are gone from the loop.
template <int NEAR>
__device__ __forceinline__ void block_of_registers(const real* in, const real* weight, real* out, const int* geometry, real* columns, real* weights) {
    constexpr int PITCH = 66, WEIGHT_PITCH = 16 * NEAR + 2;  // 16 k's times 2 neighbours are written to 32 different banks
    const Geometry& g = reinterpret_cast<const Geometry*>(geometry)[blockIdx.y];
    const Tile tile(g, 64, 16 * NEAR);
    const int x = threadIdx.x % 16, y = threadIdx.x / 16, length = g.taps() * g.K, pixels = g.pixels();
    if (tile.pixel >= pixels) return;
    weight += blockIdx.z * g.weight_group;
    int top[4], left[4], picture[4];  // where the windows of this thread's pixels begin
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const Pixel pixel(g, min(tile.pixel + y + 16 * i, pixels - 1));
        top[i] = g.down.reads(pixel.u, 0), left[i] = g.across.reads(pixel.v, 0), picture[i] = pixel.n * g.down.size;
    }
    const int step_down = g.down.step * g.down.reach, step_across = g.across.step * g.across.reach;
    int channel = x, i_tap = 0, j_tap = 0;
    real sum[4][NEAR];
#pragma unroll
    for (int i = 0; i < 4 * NEAR; ++i) sum[i / NEAR][i % NEAR] = real(0);
    for (int first = 0; first < length; first += 16) {
        while (channel >= g.K) {
            channel -= g.K;
            if (++j_tap == g.across.taps) j_tap = 0, ++i_tap;
        }
        const bool there = first + x < length;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int h = top[i] + i_tap * step_down, w = left[i] + j_tap * step_across;
            const bool inside = there && 0 <= h && h < g.down.size && 0 <= w && w < g.across.size;
            columns[x * PITCH + y + 16 * i] = inside ? in[((picture[i] + h) * g.across.size + w) * g.C + blockIdx.z * g.K + channel] : real(0);
        }
#pragma unroll
        for (int j = 0; j < NEAR; ++j) {
            const int m = tile.output + y + 16 * j;
            weights[x * WEIGHT_PITCH + y + 16 * j] = there && m < g.M ? weight[place_weight(g, m, channel, i_tap, j_tap)] : real(0);
        }
        channel += 16;
        __syncthreads();
#pragma unroll
        for (int k = 0; k < 16; ++k) {
            real column[4], row[NEAR];
#pragma unroll
            for (int i = 0; i < 4; ++i) column[i] = columns[k * PITCH + y + 16 * i];
#pragma unroll
            for (int j = 0; j < NEAR; ++j) row[j] = weights[k * WEIGHT_PITCH + x + 16 * j];
#pragma unroll
            for (int i = 0; i < 4 * NEAR; ++i) sum[i / NEAR][i % NEAR] = fma(column[i / NEAR], row[i % NEAR], sum[i / NEAR][i % NEAR]);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const int p = tile.pixel + y + 16 * i;
        if (p >= pixels) continue;
        real* to = out + Pixel(g, p).written(g) + blockIdx.z * g.M;
#pragma unroll
        for (int j = 0; j < NEAR; ++j) {
            const int m = tile.output + x + 16 * j;
            if (m < g.M) to[m] = sum[i][j];
        }
    }
}

extern "C" __global__ void __launch_bounds__(256) implicit_gemm_v3_16(const real* __restrict__ x, const real* __restrict__ weight,
                                                                      real* __restrict__ y, const int* __restrict__ geometry) {
    __shared__ real columns[16 * 66], weights[16 * 18];
    block_of_registers<1>(x, weight, y, geometry, columns, weights);
}

extern "C" __global__ void __launch_bounds__(256) implicit_gemm_v3_32(const real* __restrict__ x, const real* __restrict__ weight,
                                                                      real* __restrict__ y, const int* __restrict__ geometry) {
    __shared__ real columns[16 * 66], weights[16 * 34];
    block_of_registers<2>(x, weight, y, geometry, columns, weights);
}

extern "C" __global__ void __launch_bounds__(256) implicit_gemm_v3_64(const real* __restrict__ x, const real* __restrict__ weight,
                                                                      real* __restrict__ y, const int* __restrict__ geometry) {
    __shared__ real columns[16 * 66], weights[16 * 66];
    block_of_registers<4>(x, weight, y, geometry, columns, weights);
}

extern "C" __global__ void __launch_bounds__(256) implicit_gemm_input_v3_16(const real* __restrict__ dy, const real* __restrict__ weight,
                                                                            real* __restrict__ dx, const int* __restrict__ geometry) {
    __shared__ real columns[16 * 66], weights[16 * 18];
    block_of_registers<1>(dy, weight, dx, geometry, columns, weights);
}

extern "C" __global__ void __launch_bounds__(256) implicit_gemm_input_v3_32(const real* __restrict__ dy, const real* __restrict__ weight,
                                                                            real* __restrict__ dx, const int* __restrict__ geometry) {
    __shared__ real columns[16 * 66], weights[16 * 34];
    block_of_registers<2>(dy, weight, dx, geometry, columns, weights);
}

extern "C" __global__ void __launch_bounds__(256) implicit_gemm_input_v3_64(const real* __restrict__ dy, const real* __restrict__ weight,
                                                                            real* __restrict__ dx, const int* __restrict__ geometry) {
    __shared__ real columns[16 * 66], weights[16 * 66];
    block_of_registers<4>(dy, weight, dx, geometry, columns, weights);
}
