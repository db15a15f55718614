// Pooling of channels-last pictures x (N, H, W, C) over windows (N, OH, OW). A thread makes one result of WIDTH channels, W where C is a
// multiple of it and else 1; the channels run fastest, so that neighbours read neighbouring addresses. Every result is gathered, forward
// from the pixels of its window and backward from the windows that its pixel was in: no thread writes what another one does.
//
// Loops over windows are not unrolled: they are short, and few registers leave room for many warps, which hide the wait for memory.

// The places of W winners, read and written in one access.
struct alignas(4 * W) Places {
    int at[W];
};

template <int WIDTH> __device__ __forceinline__ Places load_places(const int* from) {
    if constexpr (WIDTH == W) return *reinterpret_cast<const Places*>(from);
    Places v = {};
    v.at[0] = from[0];
    return v;
}

template <int WIDTH> __device__ __forceinline__ void store_places(int* to, Places v) {
    if constexpr (WIDTH == W) *reinterpret_cast<Places*>(to) = v;
    else to[0] = v.at[0];
}

// Sizes along one axis: of the picture, of the windows' positions, of a window; how far windows are apart, and the padding.
struct Axis {
    int size, positions, kernel, stride, pad;
};

// first <= i < last
struct Range {
    int first, last;
};

// Which of a window's rows (or columns) lie in the picture, if its first row is `start`.
__device__ __forceinline__ Range inside(Axis a, int start) { return {max(0, -start), min(a.kernel, a.size - start)}; }

// Which windows a pixel is in: those whose first row is at most the pixel's, and whose last row is at least.
__device__ __forceinline__ Range windows_of(Axis a, int pixel) {
    const int before = pixel + a.pad - a.kernel;  // the last row that is too far up to start in
    return {before < 0 ? 0 : before / a.stride + 1, min(a.positions, (pixel + a.pad) / a.stride + 1)};
}

// A thread's result, out of N pictures of `height` * `width` results of C channels: n, row, column and first channel.
struct Result {
    int n, row, column, channel;
};

template <int WIDTH> __device__ __forceinline__ Result result(int i, int height, int width, int C) {
    const int vectors = C / WIDTH, pixel = i / vectors;
    return {pixel / width / height, pixel / width % height, pixel % width, i % vectors * WIDTH};
}

template <int WIDTH>
__device__ __forceinline__ void maxima(const real* __restrict__ x, real* __restrict__ y, int* __restrict__ winner, int N, int C, Axis h,
                                       Axis w) {
    const int all = N * h.positions * w.positions * (C / WIDTH);
    for (int index = blockIdx.x * blockDim.x + threadIdx.x; index < all; index += gridDim.x * blockDim.x) {
        const Result at = result<WIDTH>(index, h.positions, w.positions, C);
        const int top = at.row * h.stride - h.pad, left = at.column * w.stride - w.pad;
        const Range rows = inside(h, top), columns = inside(w, left);
        const real* picture = x + at.n * h.size * w.size * C + at.channel;
        Vector best = load<WIDTH>(picture + ((top + rows.first) * w.size + left + columns.first) * C);
        Places place;
#pragma unroll
        for (int k = 0; k < WIDTH; ++k) place.at[k] = rows.first * w.kernel + columns.first;
#pragma unroll 1
        for (int i = rows.first; i < rows.last; ++i)
#pragma unroll 1
            for (int j = columns.first; j < columns.last; ++j) {
                const Vector v = load<WIDTH>(picture + ((top + i) * w.size + left + j) * C);
#pragma unroll
                for (int k = 0; k < WIDTH; ++k) {
                    const bool better = best.at[k] == best.at[k] && !(v.at[k] <= best.at[k]);  // a NaN beats all, and is not beaten
                    best.at[k] = better ? v.at[k] : best.at[k];
                    place.at[k] = better ? i * w.kernel + j : place.at[k];
                }
            }
        store<WIDTH>(y + index * WIDTH, best);
        store_places<WIDTH>(winner + index * WIDTH, place);
    }
}

// y and winner (N, OH, OW, C): each window's maximum, the first of equal ones, and its place in the window, counted row by row.
extern "C" __global__ void __launch_bounds__(256, 4) window_maxima(const real* __restrict__ x, real* __restrict__ y,
                                                                   int* __restrict__ winner, int N, int C, int H, int OH, int KH, int SH,
                                                                   int PH, int WX, int OW, int KW, int SW, int PW, int width) {
    if (width == W) maxima<W>(x, y, winner, N, C, {H, OH, KH, SH, PH}, {WX, OW, KW, SW, PW});
    else maxima<1>(x, y, winner, N, C, {H, OH, KH, SH, PH}, {WX, OW, KW, SW, PW});
}

template <int WIDTH>
__device__ __forceinline__ void maxima_gradient(const real* __restrict__ dy, const int* __restrict__ winner, real* __restrict__ dx, int N,
                                                int C, Axis h, Axis w) {
    const int all = N * h.size * w.size * (C / WIDTH);
    for (int index = blockIdx.x * blockDim.x + threadIdx.x; index < all; index += gridDim.x * blockDim.x) {
        const Result at = result<WIDTH>(index, h.size, w.size, C);
        const Range rows = windows_of(h, at.row), columns = windows_of(w, at.column);
        Vector sum = zero_vector();
#pragma unroll 1
        for (int oh = rows.first; oh < rows.last; ++oh)
#pragma unroll 1
            for (int ow = columns.first; ow < columns.last; ++ow) {
                const int o = ((at.n * h.positions + oh) * w.positions + ow) * C + at.channel;
                const int mine = (at.row + h.pad - oh * h.stride) * w.kernel + at.column + w.pad - ow * w.stride;
                const Vector d = load<WIDTH>(dy + o);
                const Places place = load_places<WIDTH>(winner + o);
#pragma unroll
                for (int k = 0; k < WIDTH; ++k) sum.at[k] += place.at[k] == mine ? d.at[k] : real(0);
            }
        store<WIDTH>(dx + index * WIDTH, sum);
    }
}

// dx (N, H, W, C): for each pixel the sum of dy over the windows in which it won.
extern "C" __global__ void __launch_bounds__(256, 4) window_maxima_gradient(const real* __restrict__ dy, const int* __restrict__ winner,
                                                                            real* __restrict__ dx, int N, int C, int H, int OH, int KH,
                                                                            int SH, int PH, int WX, int OW, int KW, int SW, int PW,
                                                                            int width) {
    if (width == W) maxima_gradient<W>(dy, winner, dx, N, C, {H, OH, KH, SH, PH}, {WX, OW, KW, SW, PW});
    else maxima_gradient<1>(dy, winner, dx, N, C, {H, OH, KH, SH, PH}, {WX, OW, KW, SW, PW});
}

template <int WIDTH>
__device__ __forceinline__ void means(const real* __restrict__ x, real* __restrict__ y, int N, int C, Axis h, Axis w) {
    const int all = N * h.positions * w.positions * (C / WIDTH);
    const real count = real(h.kernel * w.kernel);
    for (int index = blockIdx.x * blockDim.x + threadIdx.x; index < all; index += gridDim.x * blockDim.x) {
        const Result at = result<WIDTH>(index, h.positions, w.positions, C);
        const int top = at.row * h.stride - h.pad, left = at.column * w.stride - w.pad;
        const Range rows = inside(h, top), columns = inside(w, left);
        const real* picture = x + at.n * h.size * w.size * C + at.channel;
        Vector sum = zero_vector();
#pragma unroll 1
        for (int i = rows.first; i < rows.last; ++i)
#pragma unroll 1
            for (int j = columns.first; j < columns.last; ++j) {
                const Vector v = load<WIDTH>(picture + ((top + i) * w.size + left + j) * C);
#pragma unroll
                for (int k = 0; k < WIDTH; ++k) sum.at[k] += v.at[k];
            }
#pragma unroll
        for (int k = 0; k < WIDTH; ++k) sum.at[k] /= count;
        store<WIDTH>(y + index * WIDTH, sum);
    }
}

// y (N, OH, OW, C): the mean over each window, in which padding counts as zeros.
extern "C" __global__ void __launch_bounds__(256, 4) window_means(const real* __restrict__ x, real* __restrict__ y, int N, int C, int H,
                                                                  int OH, int KH, int SH, int PH, int WX, int OW, int KW, int SW, int PW,
                                                                  int width) {
    if (width == W) means<W>(x, y, N, C, {H, OH, KH, SH, PH}, {WX, OW, KW, SW, PW});
    else means<1>(x, y, N, C, {H, OH, KH, SH, PH}, {WX, OW, KW, SW, PW});
}

template <int WIDTH>
__device__ __forceinline__ void means_gradient(const real* __restrict__ dy, real* __restrict__ dx, int N, int C, Axis h, Axis w) {
    const int all = N * h.size * w.size * (C / WIDTH);
    const real count = real(h.kernel * w.kernel);
    for (int index = blockIdx.x * blockDim.x + threadIdx.x; index < all; index += gridDim.x * blockDim.x) {
        const Result at = result<WIDTH>(index, h.size, w.size, C);
        const Range rows = windows_of(h, at.row), columns = windows_of(w, at.column);
        Vector sum = zero_vector();
#pragma unroll 1
        for (int oh = rows.first; oh < rows.last; ++oh)
#pragma unroll 1
            for (int ow = columns.first; ow < columns.last; ++ow) {
                const Vector d = load<WIDTH>(dy + ((at.n * h.positions + oh) * w.positions + ow) * C + at.channel);
#pragma unroll
                for (int k = 0; k < WIDTH; ++k) sum.at[k] += d.at[k];
            }
#pragma unroll
        for (int k = 0; k < WIDTH; ++k) sum.at[k] /= count;
        store<WIDTH>(dx + index * WIDTH, sum);
    }
}

// dx (N, H, W, C): for each pixel the sum of dy over the windows that it was in, divided by their size.
extern "C" __global__ void __launch_bounds__(256, 4) window_means_gradient(const real* __restrict__ dy, real* __restrict__ dx, int N,
                                                                           int C, int H, int OH, int KH, int SH, int PH, int WX, int OW,
                                                                           int KW, int SW, int PW, int width) {
    if (width == W) means_gradient<W>(dy, dx, N, C, {H, OH, KH, SH, PH}, {WX, OW, KW, SW, PW});
    else means_gradient<1>(dy, dx, N, C, {H, OH, KH, SH, PH}, {WX, OW, KW, SW, PW});
}
