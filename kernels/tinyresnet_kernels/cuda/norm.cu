// Batch norm over channels-last pictures: x (P, C) with P = N*H*W pixels.
//
// Threads lie over the numbers so that consecutive threads read consecutive addresses, whatever C is: `lanes` (1 to 32, a power of two)
// threads hold the WIDTH channels each of one pixel, and the block the next BLOCK / lanes pixels. WIDTH is W where C is a multiple of it,
// else 1. With C = 16 and W = 4, lanes is 4:
//
//     thread    0  1  2  3    4  5  6  7    8 ...
//     pixel     0  0  0  0    1  1  1  1    2 ...
//     channel   0  4  8 12    0  4  8 12    0 ...
//
// blockIdx.x counts groups of lanes * WIDTH channels; blockIdx.y counts chunks of pixels. Chunks depend on the shape alone, and so do all
// sums: within a thread in real, across threads and chunks in double, in a fixed order.

constexpr int BLOCK = 256, WARPS = BLOCK / 32;
constexpr int BATCH = 4;  // pixels that a thread of moments_v3 holds in registers
constexpr int PLACES = 32 * W;  // the most channels of a block
constexpr int SLOTS = WARPS * PLACES;

// Where a thread works: its first channel (idle if it is not below C), its pixel of the block's, and how many those are.
struct Place {
    int channel, pixel, step;
};

template <int WIDTH> __device__ __forceinline__ Place place(int lanes) {
    const int thread = threadIdx.x, group = blockIdx.x;
    return {(group * lanes + thread % lanes) * WIDTH, thread / lanes, BLOCK / lanes};
}

__device__ __forceinline__ double warp_sum_double(double x) {
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) x += __shfl_xor_sync(ALL_LANES, x, step);
    return x;
}

// What shared memory holds of each warp: slot j = i * lanes + lane is the i-th channel of that lane, so that lanes write side by side.
// Threads j < lanes * WIDTH then take a channel each, this one of all C:
template <int WIDTH> __device__ __forceinline__ int channel_of_slot(int lanes) {
    const int j = threadIdx.x, group = blockIdx.x;
    return (group * lanes + j % lanes) * WIDTH + j / lanes;
}

// Thread j gets the sum over the block's pixels for the channel of slot j; `slots` is shared memory for SLOTS numbers.
template <int WIDTH> __device__ __forceinline__ double block_sum(const double* mine, double* slots, int lanes) {
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) {
        double sum = mine[i];
        for (int step = 16; step >= lanes; step >>= 1) sum += __shfl_xor_sync(ALL_LANES, sum, step);
        if (lane < lanes) slots[warp * PLACES + i * lanes + lane] = sum;
    }
    __syncthreads();
    double sum = 0;
    if (thread < lanes * WIDTH)
        for (int w = 0; w < WARPS; ++w) sum += slots[w * PLACES + thread];
    return sum;
}

// moments: mean (C,) and var (C,) of x (P, C), where var is the mean of (x - mean)^2. Three versions of one function.

// Version 1: one thread a channel, two passes. C threads are far too few, and each waits for one number at a time.
extern "C" __global__ void moments_v1(const real* __restrict__ x, real* __restrict__ mean, real* __restrict__ var, int P, int C) {
    const int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= C) return;
    real sum = real(0);
    for (int p = 0; p < P; ++p) sum += x[p * C + c];
    const real centre = sum / real(P);
    real squares = real(0);
    for (int p = 0; p < P; ++p) {
        const real d = x[p * C + c] - centre;
        squares = fma(d, d, squares);
    }
    mean[c] = centre;
    var[c] = squares / real(P);
}

// The sum of one number a thread, in every thread, by a tree in shared memory: 256 numbers become 128, 64, ... 1.
__device__ __forceinline__ real block_tree(real mine, real* slots) {
    const int thread = threadIdx.x;
    slots[thread] = mine;
    __syncthreads();
    for (int half = BLOCK / 2; half > 0; half /= 2) {
        if (thread < half) slots[thread] += slots[thread + half];
        __syncthreads();
    }
    const real sum = slots[0];
    __syncthreads();  // before the slots are used again
    return sum;
}

// Version 2: one block a channel. Now there are enough threads, but neighbours read C numbers apart: of each 32 bytes that memory sends
// one number is used.
extern "C" __global__ void __launch_bounds__(256) moments_v2(const real* __restrict__ x, real* __restrict__ mean, real* __restrict__ var,
                                                             int P, int C) {
    __shared__ real slots[BLOCK];
    const int c = blockIdx.x, thread = threadIdx.x;
    real sum = real(0);
    for (int p = thread; p < P; p += BLOCK) sum += x[p * C + c];
    const real centre = block_tree(sum, slots) / real(P);
    real squares = real(0);
    for (int p = thread; p < P; p += BLOCK) {
        const real d = x[p * C + c] - centre;
        squares = fma(d, d, squares);
    }
    squares = block_tree(squares, slots);
    if (thread == 0) {
        mean[c] = centre;
        var[c] = squares / real(P);
    }
}

// Part of the numbers of a channel: about their mean; the sum of their distances from that, which would be zero if it were not rounded, and
// tells by how much it is; and the sum of the squared distances.
template <class T> struct Part {
    T mean, off, squares;
};

// Two parts of `count` and `other_count` numbers as one (Chan, Golub & LeVeque 1979), exact for whatever mean is chosen. `share` is the
// other's of both. The mean is a weighted sum, not mean + (other - mean) * share, which would make a NaN of an infinite mean.
template <class T> __device__ __forceinline__ Part<T> join(Part<T> part, int count, Part<T> other, int other_count, T share) {
    const T mean = fma(other.mean, share, part.mean * (T(1) - share)), a = part.mean - mean, b = other.mean - mean;
    const T far = T(count) * a, other_far = T(other_count) * b;
    const T squares = fma(a, fma(T(2), part.off, far), part.squares) + fma(b, fma(T(2), other.off, other_far), other.squares);
    return {mean, part.off + other.off + (far + other_far), squares};
}

__device__ __forceinline__ double share_of(int other, int count) { return other > 0 ? double(other) / (count + other) : 0; }

// Parts (C, chunks) of the block's chunk. Each number is read once: a thread takes BATCH pixels into registers, finds their mean and the
// distances from it, and joins them to what it has.
template <int WIDTH>
__device__ __forceinline__ void block_moments(const real* __restrict__ x, double* means, double* offs, double* squares, int P, int C,
                                              int lanes, int chunk, int* counts, double* mean_slots, double* off_slots,
                                              double* square_slots) {
    const Place at = place<WIDTH>(lanes);
    const int first = blockIdx.y * chunk, last = min(P, first + chunk);
    int count = 0;
    Part<real> own[WIDTH];
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) own[i] = {real(0), real(0), real(0)};
#pragma unroll 1
    for (int p = first + at.pixel; p < last && at.channel < C; p += BATCH * at.step) {
        Vector v[BATCH];
        int n = 0;
#pragma unroll
        for (int j = 0; j < BATCH; ++j) {
            const int pixel = p + j * at.step;
            v[j] = pixel < last ? load<WIDTH>(x + pixel * C + at.channel) : zero_vector();
            n += pixel < last;
        }
        const real part = real(1) / real(n), share = real(n) / real(count + n);
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) {
            real sum = real(0);
#pragma unroll
            for (int j = 0; j < BATCH; ++j) sum += v[j].at[i];
            Part<real> batch = {sum * part, real(0), real(0)};
#pragma unroll
            for (int j = 0; j < BATCH; ++j) {
                const real d = j < n ? v[j].at[i] - batch.mean : real(0);
                batch.off += d;
                batch.squares = fma(d, d, batch.squares);
            }
            own[i] = join(own[i], count, batch, n, share);
        }
        count += n;
    }
    // Over the lanes of a warp that have the same channels, then over the warps.
    Part<double> all[WIDTH];
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) all[i] = {double(own[i].mean), double(own[i].off), double(own[i].squares)};
#pragma unroll 1
    for (int step = 16; step >= lanes; step >>= 1) {
        const int other_count = __shfl_xor_sync(ALL_LANES, count, step);
        const double share = share_of(other_count, count);
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) {
            Part<double> other;
            other.mean = __shfl_xor_sync(ALL_LANES, all[i].mean, step);
            other.off = __shfl_xor_sync(ALL_LANES, all[i].off, step);
            other.squares = __shfl_xor_sync(ALL_LANES, all[i].squares, step);
            all[i] = join(all[i], count, other, other_count, share);
        }
        count += other_count;
    }
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    if (lane == 0) counts[warp] = count;
    if (lane < lanes) {
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) {
            const int slot = warp * PLACES + i * lanes + lane;
            mean_slots[slot] = all[i].mean;
            off_slots[slot] = all[i].off;
            square_slots[slot] = all[i].squares;
        }
    }
    __syncthreads();
    const int c = channel_of_slot<WIDTH>(lanes);
    if (thread >= lanes * WIDTH || c >= C) return;
    Part<double> whole = {0, 0, 0};
    count = 0;
#pragma unroll 1
    for (int w = 0; w < WARPS; ++w) {
        const int slot = w * PLACES + thread;
        const Part<double> other = {mean_slots[slot], off_slots[slot], square_slots[slot]};
        whole = join(whole, count, other, counts[w], share_of(counts[w], count));
        count += counts[w];
    }
    const int o = c * gridDim.y + blockIdx.y;
    means[o] = whole.mean;
    offs[o] = whole.off;
    squares[o] = whole.squares;
}

// Version 3 (shipped): a block a chunk of pixels, coalesced; moments_join puts the chunks together.
extern "C" __global__ void __launch_bounds__(256, 4) moments_v3(const real* __restrict__ x, double* __restrict__ means,
                                                                double* __restrict__ offs, double* __restrict__ squares, int P, int C,
                                                                int lanes, int width, int chunk) {
    __shared__ int counts[WARPS];
    __shared__ double mean_slots[SLOTS], off_slots[SLOTS], square_slots[SLOTS];
    if (width == W) block_moments<W>(x, means, offs, squares, P, C, lanes, chunk, counts, mean_slots, off_slots, square_slots);
    else block_moments<1>(x, means, offs, squares, P, C, lanes, chunk, counts, mean_slots, off_slots, square_slots);
}

// mean (C,) and var (C,) from parts (C, chunks); one warp a channel.
extern "C" __global__ void __launch_bounds__(256) moments_join(const double* __restrict__ means, const double* __restrict__ offs,
                                                               const double* __restrict__ squares, real* __restrict__ mean,
                                                               real* __restrict__ var, int P, int chunk, int C, int chunks) {
    const int c = blockIdx.x * WARPS + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (c >= C) return;  // a whole warp
    double sum = 0;
    for (int i = lane; i < chunks; i += 32) sum += means[c * chunks + i] * min(chunk, P - i * chunk);
    const double about = warp_sum_double(sum) / P;
    double off = 0, spread = 0;
    for (int i = lane; i < chunks; i += 32) {
        const double apart = means[c * chunks + i] - about, far = apart * min(chunk, P - i * chunk);
        off += offs[c * chunks + i] + far;
        spread += squares[c * chunks + i] + apart * (2 * offs[c * chunks + i] + far);
    }
    off = warp_sum_double(off) / P;
    spread = warp_sum_double(spread) / P - off * off;
    if (lane == 0) {
        mean[c] = real(off - off == 0 ? about + off : about);  // the distances from an infinite mean are NaN
        var[c] = real(spread < 0 ? 0 : spread);  // of equal numbers, by rounding
    }
}

// totals and dots (C, chunks): the sums of g and of g * (x - mean) over the block's chunk. g is dy; or, where CLOSED, dy where z > 0 and
// else 0, which is written as well.
template <int WIDTH, bool CLOSED>
__device__ __forceinline__ void block_sums(const real* __restrict__ dy, const real* __restrict__ z, const real* __restrict__ x,
                                           const real* __restrict__ mean, real* __restrict__ g, double* totals, double* dots, int P,
                                           int C, int lanes, int chunk, double* total_slots, double* dot_slots) {
    const Place at = place<WIDTH>(lanes);
    const int first = blockIdx.y * chunk, last = min(P, first + chunk);
    double total[WIDTH] = {}, dot[WIDTH] = {};
    if (at.channel < C) {
        const Vector m = load<WIDTH>(mean + at.channel);
        Vector sum = zero_vector(), product = zero_vector();
#pragma unroll 4
        for (int p = first + at.pixel; p < last; p += at.step) {
            const int o = p * C + at.channel;
            Vector d = load<WIDTH>(dy + o);
            const Vector v = load<WIDTH>(x + o);
            if constexpr (CLOSED) {
                const Vector out = load<WIDTH>(z + o);
#pragma unroll
                for (int i = 0; i < WIDTH; ++i) d.at[i] = out.at[i] <= real(0) ? real(0) : d.at[i];
                store<WIDTH>(g + o, d);
            }
#pragma unroll
            for (int i = 0; i < WIDTH; ++i) {
                sum.at[i] += d.at[i];
                product.at[i] = fma(d.at[i], v.at[i] - m.at[i], product.at[i]);
            }
        }
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) {
            total[i] = double(sum.at[i]);
            dot[i] = double(product.at[i]);
        }
    }
    const double joint = block_sum<WIDTH>(total, total_slots, lanes), joint_dot = block_sum<WIDTH>(dot, dot_slots, lanes);
    const int thread = threadIdx.x, c = channel_of_slot<WIDTH>(lanes);
    if (thread >= lanes * WIDTH || c >= C) return;
    totals[c * gridDim.y + blockIdx.y] = joint;
    dots[c * gridDim.y + blockIdx.y] = joint_dot;
}

// totals and dots (C, chunks) of dy (P, C) and of dy * (x - mean).
extern "C" __global__ void __launch_bounds__(256) gradient_sums(const real* __restrict__ dy, const real* __restrict__ x,
                                                                const real* __restrict__ mean, double* __restrict__ totals,
                                                                double* __restrict__ dots, int P, int C, int lanes, int width, int chunk) {
    __shared__ double total_slots[SLOTS], dot_slots[SLOTS];
    if (width == W) block_sums<W, false>(dy, x, x, mean, nullptr, totals, dots, P, C, lanes, chunk, total_slots, dot_slots);
    else block_sums<1, false>(dy, x, x, mean, nullptr, totals, dots, P, C, lanes, chunk, total_slots, dot_slots);
}

// g (P, C) = dz where z > 0, else 0; totals and dots (C, chunks) of g and of g * (x - mean).
extern "C" __global__ void __launch_bounds__(256) close_relu(const real* __restrict__ dz, const real* __restrict__ z,
                                                             const real* __restrict__ x, const real* __restrict__ mean,
                                                             real* __restrict__ g, double* __restrict__ totals, double* __restrict__ dots,
                                                             int P, int C, int lanes, int width, int chunk) {
    __shared__ double total_slots[SLOTS], dot_slots[SLOTS];
    if (width == W) block_sums<W, true>(dz, z, x, mean, g, totals, dots, P, C, lanes, chunk, total_slots, dot_slots);
    else block_sums<1, true>(dz, z, x, mean, g, totals, dots, P, C, lanes, chunk, total_slots, dot_slots);
}

// total (C,) and dot (C,) from totals and dots (C, chunks); one warp a channel.
extern "C" __global__ void __launch_bounds__(256) sums_join(const double* __restrict__ totals, const double* __restrict__ dots,
                                                            real* __restrict__ total, real* __restrict__ dot, int C, int chunks) {
    const int c = blockIdx.x * WARPS + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (c >= C) return;
    double sum = 0, product = 0;
    for (int i = lane; i < chunks; i += 32) {
        sum += totals[c * chunks + i];
        product += dots[c * chunks + i];
    }
    sum = warp_sum_double(sum);
    product = warp_sum_double(product);
    if (lane == 0) {
        total[c] = real(sum);
        dot[c] = real(product);
    }
}

template <int WIDTH>
__device__ __forceinline__ void block_means(const real* __restrict__ x, real* __restrict__ y, int pixels, int C, int lanes, double* slots) {
    const Place at = place<WIDTH>(lanes);
    double total[WIDTH] = {};
    if (at.channel < C) {
        const real* picture = x + blockIdx.y * pixels * C + at.channel;
        Vector sum = zero_vector();
#pragma unroll 4
        for (int p = at.pixel; p < pixels; p += at.step) {
            const Vector v = load<WIDTH>(picture + p * C);
#pragma unroll
            for (int i = 0; i < WIDTH; ++i) sum.at[i] += v.at[i];
        }
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) total[i] = double(sum.at[i]);
    }
    const double joint = block_sum<WIDTH>(total, slots, lanes);
    const int thread = threadIdx.x, c = channel_of_slot<WIDTH>(lanes);
    if (thread < lanes * WIDTH && c < C) y[blockIdx.y * C + c] = real(joint / pixels);
}

// y (N, C): the mean of each channel over a picture's H*W pixels. Here the chunks are the pictures.
extern "C" __global__ void __launch_bounds__(256) picture_means(const real* __restrict__ x, real* __restrict__ y, int pixels, int C,
                                                                int lanes, int width) {
    __shared__ double slots[SLOTS];
    if (width == W) block_means<W>(x, y, pixels, C, lanes, slots);
    else block_means<1>(x, y, pixels, C, lanes, slots);
}

template <int WIDTH>
__device__ __forceinline__ void scaled(const real* __restrict__ x, const real* __restrict__ mean, const real* __restrict__ scale,
                                       const real* __restrict__ shift, real* __restrict__ y, int P, int C, int lanes) {
    const Place at = place<WIDTH>(lanes);
    if (at.channel >= C) return;
    const Vector m = load<WIDTH>(mean + at.channel), a = load<WIDTH>(scale + at.channel), b = load<WIDTH>(shift + at.channel);
#pragma unroll 4
    for (int p = blockIdx.y * at.step + at.pixel; p < P; p += gridDim.y * at.step) {
        const int o = p * C + at.channel;
        Vector v = load<WIDTH>(x + o);
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) v.at[i] = fma(v.at[i] - m.at[i], a.at[i], b.at[i]);
        store<WIDTH>(y + o, v);
    }
}

// y (P, C) = (x - mean) * scale + shift.
extern "C" __global__ void __launch_bounds__(256) scale_and_shift(const real* __restrict__ x, const real* __restrict__ mean,
                                                                  const real* __restrict__ scale, const real* __restrict__ shift,
                                                                  real* __restrict__ y, int P, int C, int lanes, int width) {
    if (width == W) scaled<W>(x, mean, scale, shift, y, P, C, lanes);
    else scaled<1>(x, mean, scale, shift, y, P, C, lanes);
}

template <int WIDTH>
__device__ __forceinline__ void centred(const real* __restrict__ dy, const real* __restrict__ x, const real* __restrict__ mean,
                                        const real* __restrict__ scale, const real* __restrict__ by_mean,
                                        const real* __restrict__ by_variance, real* __restrict__ dx, int P, int C, int lanes) {
    const Place at = place<WIDTH>(lanes);
    if (at.channel >= C) return;
    const Vector m = load<WIDTH>(mean + at.channel), a = load<WIDTH>(scale + at.channel);
    const Vector first = load<WIDTH>(by_mean + at.channel), second = load<WIDTH>(by_variance + at.channel);
#pragma unroll 4
    for (int p = blockIdx.y * at.step + at.pixel; p < P; p += gridDim.y * at.step) {
        const int o = p * C + at.channel;
        const Vector v = load<WIDTH>(x + o);
        Vector d = load<WIDTH>(dy + o);
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) d.at[i] = (d.at[i] - fma(v.at[i] - m.at[i], second.at[i], first.at[i])) * a.at[i];
        store<WIDTH>(dx + o, d);
    }
}

// dx (P, C) = scale * (dy - by_mean - (x - mean) * by_variance).
extern "C" __global__ void __launch_bounds__(256) normalized_gradient(const real* __restrict__ dy, const real* __restrict__ x,
                                                                      const real* __restrict__ mean, const real* __restrict__ scale,
                                                                      const real* __restrict__ by_mean,
                                                                      const real* __restrict__ by_variance, real* __restrict__ dx, int P,
                                                                      int C, int lanes, int width) {
    if (width == W) centred<W>(dy, x, mean, scale, by_mean, by_variance, dx, P, C, lanes);
    else centred<1>(dy, x, mean, scale, by_mean, by_variance, dx, P, C, lanes);
}

template <int WIDTH, bool ADD>
__device__ __forceinline__ void settled(const real* __restrict__ x, const real* __restrict__ scale, const real* __restrict__ shift,
                                        const real* __restrict__ shortcut, real* __restrict__ z, int P, int C, int lanes) {
    const Place at = place<WIDTH>(lanes);
    if (at.channel >= C) return;
    const Vector a = load<WIDTH>(scale + at.channel), b = load<WIDTH>(shift + at.channel);
#pragma unroll 4
    for (int p = blockIdx.y * at.step + at.pixel; p < P; p += gridDim.y * at.step) {
        const int o = p * C + at.channel;
        Vector v = load<WIDTH>(x + o);
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) v.at[i] = fma(v.at[i], a.at[i], b.at[i]);
        if constexpr (ADD) {
            const Vector other = load<WIDTH>(shortcut + o);
#pragma unroll
            for (int i = 0; i < WIDTH; ++i) v.at[i] += other.at[i];
        }
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) v.at[i] = relu(v.at[i]);
        store<WIDTH>(z + o, v);
    }
}

// z (P, C) = relu(x * scale + shift).
extern "C" __global__ void __launch_bounds__(256) settle(const real* __restrict__ x, const real* __restrict__ scale,
                                                         const real* __restrict__ shift, real* __restrict__ z, int P, int C, int lanes,
                                                         int width) {
    if (width == W) settled<W, false>(x, scale, shift, x, z, P, C, lanes);
    else settled<1, false>(x, scale, shift, x, z, P, C, lanes);
}

// z (P, C) = relu(x * scale + shift + shortcut).
extern "C" __global__ void __launch_bounds__(256) settle_add(const real* __restrict__ x, const real* __restrict__ scale,
                                                             const real* __restrict__ shift, const real* __restrict__ shortcut,
                                                             real* __restrict__ z, int P, int C, int lanes, int width) {
    if (width == W) settled<W, true>(x, scale, shift, shortcut, z, P, C, lanes);
    else settled<1, true>(x, scale, shift, shortcut, z, P, C, lanes);
}
