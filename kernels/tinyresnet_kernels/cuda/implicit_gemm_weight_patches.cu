// v4 of the gradient of a convolution's weights: the shipped kernel. Channels-last: numbers in the order N, H, W, C.
//
// A block holds the sums of all kernel places for a tile of outputs and a few vectors of channels, and walks over a chunk of the pixels. As in
// `implicit_gemm_patches.cu` it brings the patch under its pixels into shared memory once for all taps, and beside it their dy:
//
//     sum[o, tap, c] += dy[p, o] * patch[at[p] + offset[tap, c]]    for every pixel p
//
// The threads of a *team* share out outputs and columns (tap, vector of channels); a block has several teams, which take turns with the pixels
// and whose sums are added at the end, always in the same order. Shared memory has two patches: one is used while the other is filled.

#include "patches.cuh"

struct Plan {
    Geometry geometry;
    int strip, strips;        // outputs are cut into strips so many pixels wide
    int depth, shift;         // vectors of channels of a tile: 1 << shift
    int side, columns;        // threads of a team along the outputs, and along the columns
    int side_shift;           // vectors of outputs of a tile: 1 << side_shift
    int pixels, stages;       // pixels that are staged at once; how often a block does so
    int most;                 // pixels of a patch, at most
    int whole_x, whole_dy;    // whether all vectors of channels of x, or of dy, are whole
};

constexpr int COLUMNS = 3;  // vectors of columns of a thread: a row of a 3x3 window

// The tables of a stage, so that no division is left for the loops. Where each pixel of the patch comes from, where in the patch the window of
// each output pixel begins, and where that pixel's dy stands.
struct Stage {
    int *size, *count, *sources, *at, *outputs;
    __device__ Stage(int* tables, const Plan& plan, int stage) {
        size = tables + stage % 3 * (2 + plan.most + 2 * plan.pixels);
        count = size + 1, sources = size + 2, at = sources + plan.most, outputs = at + plan.pixels;
    }
};

__device__ __forceinline__ void write_tables(const Stage& stage, const Plan& plan, int left, int width, int first, int end, int channel, int output) {
    const Geometry& g = plan.geometry;
    const Axis &down = g.down, &across = g.across;
    const int last = min(first + plan.pixels, end) - 1, count = max(last - first + 1, 0);
    const int span = down.reach * (down.taps - 1) + 1, high = (down.outputs - 1) * down.stride + span;
    const int wide = (width - 1) * across.stride + across.reach * (across.taps - 1) + 1;
    const auto row_of = [&](int p) { return p / width / down.outputs * high + p / width % down.outputs * down.stride; };
    const int top = row_of(first), size = count ? (row_of(last) + span - top) * wide : 0;
    if (threadIdx.x == 0) *stage.size = size, *stage.count = count;
#pragma unroll 1
    for (int i = threadIdx.x; i < size; i += blockDim.x) {
        const int row = top + i / wide, h = down.start + down.step * (row % high);
        const int w = across.start + across.step * (left * across.stride + i % wide);
        const bool inside = 0 <= h && h < down.size && 0 <= w && w < across.size;
        stage.sources[i] = inside ? ((row / high * down.size + h) * across.size + w) * g.C + channel : -1;
    }
#pragma unroll 1
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        const int p = first + i;
        stage.at[i] = ((row_of(p) - top) * wide + p % width * across.stride) * plan.depth * W;
        stage.outputs[i] = (p / width * across.outputs + left + p % width) * g.O + output;
    }
}

// A thread sums FAR vectors of outputs times COLUMNS vectors of columns.
template <int FAR>
__device__ __forceinline__ void block_of_weights(const real* dy, const real* x, real* partials, const int* plans, real* scratch) {
    constexpr int AHEAD = FAR == 1 ? 4 : 3;  // vectors that a thread has on their way to the next patch, as registers allow
    const Plan& plan = *reinterpret_cast<const Plan*>(plans);
    const Geometry& g = plan.geometry;
    const int thread = threadIdx.x, threads = blockDim.x, depth = plan.depth, side = plan.side, team = side * plan.columns;
    const int slice = thread / team, slices = threads / team, far = thread % team % side, near = thread % team / side;

    // blockIdx.x counts tiles of outputs and, faster, of channels; y chunks of pixels and, faster, strips; z groups.
    const int tiles = (g.K + depth * W - 1) / (depth * W), channel = blockIdx.x % tiles * depth * W, output = blockIdx.x / tiles * side * FAR * W;
    const int left = blockIdx.y % plan.strips * plan.strip, width = min(plan.strip, g.across.outputs - left);
    const int begin = blockIdx.y / plan.strips * plan.stages * plan.pixels;
    const int end = width > 0 ? min(begin + plan.stages * plan.pixels, g.N * g.down.outputs * width) : begin;
    const int stages = max(end - begin + plan.pixels - 1, 0) / plan.pixels;

    const int patch_numbers = plan.most * depth * W, buffer = patch_numbers + plan.pixels * side * FAR * W;
    int* const tables = reinterpret_cast<int*>(scratch + 2 * buffer);
    const int taps = g.down.taps * g.across.taps, wide = (width - 1) * g.across.stride + g.across.reach * (g.across.taps - 1) + 1;
    int offset[COLUMNS];
#pragma unroll
    for (int j = 0; j < COLUMNS; ++j) {
        const int column = near + j * plan.columns, tap = column / depth;
        const int place = tap / g.across.taps * g.down.reach * wide + tap % g.across.taps * g.across.reach;
        offset[j] = tap < taps ? (place * depth + column % depth) * W : 0;  // a column too many: some number of the patch, and its sum is dropped
    }
    Vector sum[FAR * W][COLUMNS];
#pragma unroll
    for (int i = 0; i < FAR * W * COLUMNS; ++i) sum[i / COLUMNS][i % COLUMNS] = zero_vector();

    const int shift = plan.shift, side_shift = plan.side_shift;
    if (stages) write_tables(Stage(tables, plan, 0), plan, left, width, begin, end, g.K * blockIdx.z + channel, g.M * blockIdx.z + output);
    __syncthreads();
#pragma unroll 1
    for (int stage = -1; stage < stages; ++stage) {  // stage -1 only brings the first patch
        // The tables are a stage ahead of the patch, which is one ahead of the sums.
        if (stage + 2 < stages)
            write_tables(Stage(tables, plan, stage + 2), plan, left, width, begin + (stage + 2) * plan.pixels, end, g.K * blockIdx.z + channel,
                         g.M * blockIdx.z + output);
        const Stage next(tables, plan, stage + 1), now(tables, plan, stage + 3);
        const int patch_items = stage + 1 < stages ? *next.size * depth : 0;
        const int items = stage + 1 < stages ? patch_items + *next.count * side * FAR : 0;
        real* const filled = scratch + (stage + 1 & 1) * buffer;
        const auto fetch = [&](int item) {
            if (item < patch_items) {
                const int source = next.sources[item >> shift], part = (item & (depth - 1)) * W;
                return channels_of(x, source < 0 ? source : source + part, g.K - channel - part, plan.whole_x);
            }
            const int rest = item - patch_items, part = (rest & (side * FAR - 1)) * W;
            return channels_of(dy, next.outputs[rest >> side_shift] + part, g.M - output - part, plan.whole_dy);
        };
        const auto place = [&](int item) { return filled + (item < patch_items ? item : item - patch_items + plan.most * depth) * W; };
        Vector arriving[AHEAD];
#pragma unroll
        for (int i = 0; i < AHEAD; ++i)
            if (thread + i * threads < items) arriving[i] = fetch(thread + i * threads);

        if (stage >= 0) {
            const int count = *now.count;
            const real* const patch = scratch + (stage & 1) * buffer;
            const real* const outputs = patch + patch_numbers + far * W;
#pragma unroll 1
            for (int p = slice; p < count; p += slices) {
                Vector column[COLUMNS];
                const int at = now.at[p];
#pragma unroll
                for (int j = 0; j < COLUMNS; ++j) column[j] = load_vector(patch + at + offset[j]);
#pragma unroll
                for (int f = 0; f < FAR; ++f) {
                    const Vector d = load_vector(outputs + (p * FAR + f) * side * W);
#pragma unroll
                    for (int i = 0; i < W; ++i)
#pragma unroll
                        for (int j = 0; j < COLUMNS * W; ++j) {
                            real& s = sum[f * W + i][j / W].at[j % W];
                            s = fma(d.at[i], column[j / W].at[j % W], s);
                        }
                }
            }
        }
#pragma unroll
        for (int i = 0; i < AHEAD; ++i)
            if (thread + i * threads < items) store_vector(place(thread + i * threads), arriving[i]);
#pragma unroll 1
        for (int item = thread + AHEAD * threads; item < items; item += threads) store_vector(place(item), fetch(item));
        __syncthreads();
    }

    // The teams' sums: half of the teams hand theirs to the others, until one has all. `slices` is a power of two.
#pragma unroll 1
    for (int half = slices / 2; half > 0; half /= 2) {
        real* const handed = scratch + (slice % half * team + thread % team) * W;  // vectors of one number lie side by side
#pragma unroll
        for (int i = 0; i < FAR * W * COLUMNS; ++i)
            if (slice / half == 1) store_vector(handed + i * half * team * W, sum[i / COLUMNS][i % COLUMNS]);
        __syncthreads();
#pragma unroll
        for (int i = 0; i < FAR * W * COLUMNS; ++i) {
            if (slice >= half) continue;
            const Vector other = load_vector(handed + i * half * team * W);
#pragma unroll
            for (int j = 0; j < W; ++j) sum[i / COLUMNS][i % COLUMNS].at[j] += other.at[j];
        }
        __syncthreads();
    }
    if (slice) return;
    partials += (blockIdx.y * gridDim.z + blockIdx.z) * g.M * taps * g.K;
#pragma unroll
    for (int i = 0; i < FAR * W * COLUMNS; ++i) {
        const int o = output + (i / COLUMNS / W * side + far) * W + i / COLUMNS % W, column = near + i % COLUMNS * plan.columns, tap = column / depth;
        const int c = channel + column % depth * W;
        if (o >= g.M || tap >= taps) continue;
        real* const to = partials + (o * taps + tap) * g.K + c;
#pragma unroll
        for (int j = 0; j < W; ++j)
            if (c + j < g.K) to[j] = sum[i / COLUMNS][i % COLUMNS].at[j];
    }
}

extern "C" __global__ void __launch_bounds__(384, 1) implicit_gemm_weight_v4_1(const real* __restrict__ dy, const real* __restrict__ x,
                                                                            real* __restrict__ partials, const int* __restrict__ plans) {
    extern __shared__ __align__(16) real scratch[];
    block_of_weights<1>(dy, x, partials, plans, scratch);
}

extern "C" __global__ void __launch_bounds__(192, 2) implicit_gemm_weight_v4_2(const real* __restrict__ dy, const real* __restrict__ x,
                                                                            real* __restrict__ partials, const int* __restrict__ plans) {
    extern __shared__ __align__(16) real scratch[];
    block_of_weights<2>(dy, x, partials, plans, scratch);
}
