// v4 of the convolution forward and of the gradient of its input: the shipped kernel. Channels-last: numbers in the order N, H, W, C.
//
// What v3 does for each tap anew, bringing the numbers that it looks at into shared memory, is done once here for all taps: a block brings the
// *patch* that its pixels' windows cover, with its border of zeros, a few vectors of channels at a time. A tap is then nothing but an offset:
//
//     o o o o o o     block of pixels p, 3x3 windows: the patch is one pixel wider on each side. Pixel p reads, at step s (a tap and
//     o p p p p o     a vector of channels),   patch[at[p] + offset[s]]:   the hot loop knows no kernel size, stride, padding, dilation
//     o p p p p o     or parity class, and makes no address but this sum.
//     o o o o o o
//
// Pixels follow each other along the rows of a strip of the picture and on into the next picture, whatever its width; the patch is then a
// number of rows of the pictures, one below the other, each picture with its border. Shared memory has two patches and two parts of the
// weights: while products are made from one, the other is filled, a vector or two a thread and step, with one barrier a chunk of channels.
//
// Vectors of channels lie in planes, [vector][pixel]: eight lanes that read at once read neighbouring pixels of one plane, from different banks.
// `geometry.py` and `patches.py` have what the integers are.

#include "patches.cuh"

struct Plan {
    Geometry geometry;
    int classes;             // how many there are
    int strip;               // outputs of a class are cut into strips so many pixels wide
    int depth, chunks;       // vectors of channels that are staged at once; how often, for all channels
    int plane, most;         // pixels of a patch, rounded up for the banks, and at most
    int packed;              // where this class's weights begin
    int whole_in, whole_out; // whether all vectors of channels that are read, or written, are whole
};


constexpr int THREADS = 128;

// Blocks of a processor that must find room in its registers: as many as do without spilling any.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
constexpr int BLOCKS = 3;
#else
constexpr int BLOCKS = 4;
#endif

// A block of 128 threads makes 128 / SIDE * NEAR pixels times SIDE * VECTORS * W outputs; a thread, NEAR pixels times VECTORS vectors of outputs.
template <int NEAR, int VECTORS, int SIDE>
__device__ __forceinline__ void block_of_pixels(const real* in, const real* packed, real* out, const int* plans, real* scratch) {
    constexpr int APART = THREADS / SIDE, PIXELS = APART * NEAR, OUTPUTS = SIDE * VECTORS * W, STEP_WEIGHTS = W * OUTPUTS;
    // blockIdx.x counts blocks of pixels, faster, classes and, fastest, tiles of outputs, for these read the same numbers; y strips; z groups.
    const Plan* const classes = reinterpret_cast<const Plan*>(plans);
    const int tiles = (classes->geometry.M + OUTPUTS - 1) / OUTPUTS, tile = blockIdx.x % tiles, rest = blockIdx.x / tiles, group = blockIdx.z;
    const Plan& plan = classes[rest % classes->classes];
    const Geometry& g = plan.geometry;
    const Axis &down = g.down, &across = g.across;
    const int left = blockIdx.y * plan.strip, width = min(plan.strip, across.outputs - left);
    const int first = rest / classes->classes * PIXELS, pixels = g.N * down.outputs * width;
    if (first >= pixels) return;  // classes and strips differ in size; a strip may be empty
    const int last = min(first + PIXELS, pixels) - 1;

    // The patch: rows of bordered pictures, `high` rows each, one below the other.
    const int span = down.reach * (down.taps - 1) + 1, high = (down.outputs - 1) * down.stride + span;
    const int wide = (width - 1) * across.stride + across.reach * (across.taps - 1) + 1;
    const auto row_of = [&](int p) { return p / width / down.outputs * high + p / width % down.outputs * down.stride; };
    const int top = row_of(first), size = plan.chunks ? (row_of(last) + span - top) * wide : 0;  // no chunk: pixels that no window saw

    const int depth = plan.depth, chunks = plan.chunks, plane = plan.plane, steps = down.taps * across.taps * depth;
    const int patch_numbers = plane * depth * W, weight_numbers = steps * STEP_WEIGHTS, buffers = chunks > 1 ? 2 : 1;
    real *const patches = scratch, *const weights = patches + buffers * patch_numbers;

    // Three tables, so that no division is left for the loops: where each pixel of the patch comes from, where each output pixel goes to, and
    // what a step adds to a place.
    int *const sources = reinterpret_cast<int*>(weights + buffers * weight_numbers), *const targets = sources + plan.most, *const offsets = targets + PIXELS + 1;
    const int thread = threadIdx.x, lane = thread % 32;
#pragma unroll 1
    for (int i = thread; i < size; i += THREADS) {
        const int row = top + i / wide, h = down.start + down.step * (row % high);
        const int w = across.start + across.step * (left * across.stride + i % wide);
        const bool inside = 0 <= h && h < down.size && 0 <= w && w < across.size;
        sources[i] = inside ? ((row / high * down.size + h) * across.size + w) * g.C + group * g.K : -1;
    }
#pragma unroll 1
    for (int i = thread; i < PIXELS; i += THREADS) {
        const int p = first + i, h = p / width / down.outputs * down.out_size + down.out_first + p / width % down.outputs * down.out_step;
        const int w = across.out_first + across.out_step * (left + p % width);
        targets[i] = p <= last ? (h * across.out_size + w) * g.O + group * g.M + tile * OUTPUTS : -1;
    }
    if (thread == 0) targets[PIXELS] = g.M - tile * OUTPUTS;
#pragma unroll 1
    for (int s = thread; s < steps; s += THREADS) {
        const int tap = s / depth;
        offsets[s] = (s % depth * plane + tap / across.taps * down.reach * wide + tap % across.taps * across.reach) * W;
    }

    // Which pixels and outputs are this thread's: lanes 0 and 1, 2 and 3 ... share pixels, lanes 0 and 2, 1 and 3 ... outputs.
    const int side = (lane & 1) | (lane >> 2 & (SIDE - 2)), near = (lane >> 1 & 3) | (SIDE == 4 ? lane >> 4 << 2 : 0) | thread / 32 * (32 / SIDE);
    int at[NEAR];
#pragma unroll
    for (int i = 0; i < NEAR; ++i) {
        const int p = min(first + near + i * APART, last);
        at[i] = ((row_of(p) - top) * wide + p % width * across.stride) * W;
    }
    real sum[NEAR][VECTORS * W];
#pragma unroll
    for (int i = 0; i < NEAR * VECTORS * W; ++i) sum[i / (VECTORS * W)][i % (VECTORS * W)] = real(0);

    // What this thread brings: of every (128 / depth)-th pixel of the patch one vector of channels, and of a step's weights one vector.
    const int skip = THREADS / depth, vector = thread % depth, mine = thread / depth;
    const real* channel = in + vector * W;
    int have = g.K - vector * W;
    const bool whole = plan.whole_in;
    const real* weights_from = packed + plan.packed + (group * tiles + tile) * chunks * weight_numbers + thread * W;
    __syncthreads();
    if (chunks) {  // the first chunk
        for (int pixel = mine; pixel < size; pixel += skip)
            store_vector(patches + (vector * plane + pixel) * W, channels_of(channel, sources[pixel], have, whole));
        if (thread < OUTPUTS)
            for (int s = 0; s < steps; ++s) store_vector(weights + s * STEP_WEIGHTS + thread * W, load_vector(weights_from + s * STEP_WEIGHTS));
    }
    __syncthreads();

#pragma unroll 1
    for (int chunk = 0; chunk < chunks; ++chunk) {
        const bool more = chunk + 1 < chunks, now = chunk & 1;
        channel += depth * W, have -= depth * W, weights_from += weight_numbers;
        const real *const patch = patches + now * patch_numbers, *const weight = weights + now * weight_numbers + side * W;
        real *const next_patch = patches + !now * patch_numbers + vector * plane * W, *const next_weights = weights + !now * weight_numbers + thread * W;
        int pixel = more ? mine : size;
#pragma unroll 1
        for (int s = 0; s < steps; ++s, pixel += skip) {
            // A vector of the next patch is on its way during the first half of this step's products, one of its weights during the second.
            const bool bring = pixel < size, bring_weights = more && thread < OUTPUTS;
            Vector arriving, read[NEAR];
            if (bring) arriving = channels_of(channel, sources[pixel], have, whole);
#pragma unroll
            for (int i = 0; i < NEAR; ++i) read[i] = load_vector(patch + offsets[s] + at[i]);
#pragma unroll
            for (int k = 0; k < W; ++k) {
                if (k == W / 2) {
                    if (bring) store_vector(next_patch + pixel * W, arriving);
                    if (bring_weights) arriving = load_vector(weights_from + s * STEP_WEIGHTS);
                }
#pragma unroll
                for (int j = 0; j < VECTORS; ++j) {
                    const Vector output = load_vector(weight + s * STEP_WEIGHTS + k * OUTPUTS + j * SIDE * W);
#pragma unroll
                    for (int i = 0; i < NEAR * W; ++i) sum[i / W][j * W + i % W] = fma(read[i / W].at[k], output.at[i % W], sum[i / W][j * W + i % W]);
                }
            }
            if (bring_weights) store_vector(next_weights + s * STEP_WEIGHTS, arriving);
        }
#pragma unroll 1
        for (; pixel < size; pixel += skip)  // what is left of a patch with few taps
            store_vector(next_patch + pixel * W, channels_of(channel, sources[pixel], have, whole));
        __syncthreads();
    }

#pragma unroll
    for (int i = 0; i < NEAR; ++i) {
        const int to = targets[near + i * APART];
        if (to < 0) continue;
#pragma unroll
        for (int j = 0; j < VECTORS; ++j) {
            const int m = (j * SIDE + side) * W;
            const int room = targets[PIXELS] - m;
            Vector written;
#pragma unroll
            for (int k = 0; k < W; ++k) written.at[k] = sum[i][j * W + k];
            if (plan.whole_out) {
                if (room > 0) store_vector(out + to + m, written);
            } else {
#pragma unroll
                for (int k = 0; k < W; ++k)
                    if (k < room) out[to + m + k] = written.at[k];
            }
        }
    }
}

// The tiles, in pixels times vectors of outputs. Few outputs: more pixels; little work: small tiles, so that there is one for every processor.
extern "C" __global__ void __launch_bounds__(128, BLOCKS) implicit_gemm_v4_256x4(const real* __restrict__ in, const real* __restrict__ packed,
                                                                            real* __restrict__ out, const int* __restrict__ plans) {
    extern __shared__ __align__(16) real scratch[];
    block_of_pixels<8, 1, 4>(in, packed, out, plans, scratch);
}

extern "C" __global__ void __launch_bounds__(128, BLOCKS) implicit_gemm_v4_128x8(const real* __restrict__ in, const real* __restrict__ packed,
                                                                            real* __restrict__ out, const int* __restrict__ plans) {
    extern __shared__ __align__(16) real scratch[];
    block_of_pixels<8, 1, 8>(in, packed, out, plans, scratch);
}

extern "C" __global__ void __launch_bounds__(128, 2) implicit_gemm_v4_128x16(const real* __restrict__ in, const real* __restrict__ packed,
                                                                             real* __restrict__ out, const int* __restrict__ plans) {
    extern __shared__ __align__(16) real scratch[];
    block_of_pixels<8, 2, 8>(in, packed, out, plans, scratch);
}

extern "C" __global__ void __launch_bounds__(128, BLOCKS) implicit_gemm_v4_64x8(const real* __restrict__ in, const real* __restrict__ packed,
                                                                           real* __restrict__ out, const int* __restrict__ plans) {
    extern __shared__ __align__(16) real scratch[];
    block_of_pixels<4, 1, 8>(in, packed, out, plans, scratch);
}

// The weights (O, C/groups, KH, KW) in the order in which the kernels above read them: class, group, tile of `outputs` outputs, chunk of channels,
// step (tap, vector of channels), channel of the vector, output. What is no weight is zero. One thread, one number; blockIdx.y is the class.
extern "C" __global__ void __launch_bounds__(256) pack_weights(const real* __restrict__ weight, real* __restrict__ packed, const int* __restrict__ plans,
                                                               int groups, int outputs) {
    const Plan& plan = reinterpret_cast<const Plan*>(plans)[blockIdx.y];
    const Geometry& g = plan.geometry;
    const int taps = g.down.taps * g.across.taps, tiles = (g.M + outputs - 1) / outputs;
    const int count = groups * tiles * plan.chunks * taps * plan.depth * W * outputs;
    for (int place = blockIdx.x * blockDim.x + threadIdx.x; place < count; place += gridDim.x * blockDim.x) {
        int rest = place;
        const auto take = [&](int size) {
            const int index = rest % size;
            rest /= size;
            return index;
        };
        int m = take(outputs), k = take(W);
        k += take(plan.depth) * W;
        const int tap = take(taps);
        k += take(plan.chunks) * plan.depth * W;
        m += take(tiles) * outputs;
        const int i = g.down.tap_first + tap / g.across.taps * g.down.tap_step, j = g.across.tap_first + tap % g.across.taps * g.across.tap_step;
        const int from = rest * g.weight_group + m * g.weight_m + k * g.weight_k + i * g.kernel_width + j;
        packed[plan.packed + place] = m < g.M && k < g.K ? weight[from] : real(0);
    }
}
