// v5 of the convolution forward: v2's tiles, multiplied by the tensor cores in TF32 (10 bits of mantissa, where float32 has 23). Its results are
// not float32-exact, so it is never chosen by itself. From sm_80 on.

#include "geometry.cuh"

#ifndef TINYRESNET_HOST
// d (16, 8) += a (16, 8) b (8, 8), each spread over a warp as the PTX manual draws it (mma.m16n8k8, .tf32).
__device__ __forceinline__ void mma_tf32(float* d, const float* a, const float* b) {
#if __CUDA_ARCH__ >= 800
    unsigned ra[4], rb[2];
#pragma unroll
    for (int i = 0; i < 4; ++i) asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(ra[i]) : "f"(a[i]));
#pragma unroll
    for (int i = 0; i < 2; ++i) asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rb[i]) : "f"(b[i]));
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(ra[0]), "r"(ra[1]), "r"(ra[2]), "r"(ra[3]), "r"(rb[0]), "r"(rb[1]));
#endif
}
#endif

// A block of 4 warps makes 64 pixels times 32 outputs, a warp 16 pixels times 32 outputs: 4 products of 16x8 by 8x8 for each tap and 8 channels.
// The pitches put the numbers that a warp reads at once into 32 different banks: rows 12 apart, 4 of a row; rows 40 apart, 8 of a row.
extern "C" __global__ void __launch_bounds__(128) implicit_gemm_v5(const real* __restrict__ x, const real* __restrict__ weight, real* __restrict__ y,
                                                                   const int* __restrict__ geometry) {
    constexpr int PIXELS = 64, OUTPUTS = 32, DEPTH = 8, PITCH = 12, WEIGHT_PITCH = 40;
    __shared__ float columns[PIXELS * PITCH], weights[DEPTH * WEIGHT_PITCH];
    const Geometry& g = reinterpret_cast<const Geometry*>(geometry)[blockIdx.y];
    const Tile tile(g, PIXELS, OUTPUTS);
    const int thread = threadIdx.x, warp = thread / 32, group = thread % 32 / 4, in_group = thread % 4, pixels = g.pixels();
    weight += blockIdx.z * g.weight_group;
    float sum[OUTPUTS / 8][4] = {};
    for (int tap = 0; tap < g.taps(); ++tap) {
        const int i = tap / g.across.taps, j = tap % g.across.taps;
        for (int first = 0; first < g.K; first += DEPTH) {
#pragma unroll
            for (int item = thread; item < PIXELS * DEPTH; item += 128) {
                const int p = tile.pixel + item / DEPTH, k = first + item % DEPTH;
                const int from = p < pixels && k < g.K ? place_read(g, Pixel(g, p), i, j, blockIdx.z * g.K + k) : -1;
                columns[item / DEPTH * PITCH + item % DEPTH] = from < 0 ? 0.f : float(x[from]);
            }
#pragma unroll
            for (int item = thread; item < DEPTH * OUTPUTS; item += 128) {
                const int k = first + item / OUTPUTS, m = tile.output + item % OUTPUTS;
                weights[item / OUTPUTS * WEIGHT_PITCH + item % OUTPUTS] = k < g.K && m < g.M ? float(weight[place_weight(g, m, k, i, j)]) : 0.f;
            }
            __syncthreads();
            float a[4];
#pragma unroll
            for (int r = 0; r < 4; ++r) a[r] = columns[(warp * 16 + group + r % 2 * 8) * PITCH + in_group + r / 2 * 4];
#pragma unroll
            for (int n = 0; n < OUTPUTS / 8; ++n) {
                float b[2];
#pragma unroll
                for (int r = 0; r < 2; ++r) b[r] = weights[(in_group + r * 4) * WEIGHT_PITCH + n * 8 + group];
                mma_tf32(sum[n], a, b);
            }
            __syncthreads();  // before the tiles are overwritten
        }
    }
#pragma unroll
    for (int n = 0; n < OUTPUTS / 8; ++n) {
#pragma unroll
        for (int r = 0; r < 4; ++r) {
            const int p = tile.pixel + warp * 16 + group + r / 2 * 8, m = tile.output + n * 8 + in_group * 2 + r % 2;
            if (p < pixels && m < g.M) y[Pixel(g, p).written(g) + blockIdx.z * g.M + m] = real(sum[n][r]);
        }
    }
}
