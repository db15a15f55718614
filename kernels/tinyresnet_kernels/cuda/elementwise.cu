// What is done number by number, in one pass over memory each. Arrays are n numbers in a row. A thread takes vectors of W numbers, in
// strides of the grid; the grid's first threads take one each of the last n % W numbers.

// W bools as one whole number, so that they are read and written in one access.
template <int BYTES> struct Bools;
template <> struct Bools<2> { typedef unsigned short type; };
template <> struct Bools<4> { typedef unsigned int type; };
typedef Bools<W>::type Mask;

// mask (n,) = not x <= 0 (a NaN is not, and passes), y (n,) = x where it is so, else 0.
extern "C" __global__ void __launch_bounds__(256) rectify(const real* __restrict__ x, real* __restrict__ y, bool* __restrict__ mask,
                                                          int n) {
    const int thread = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
    for (int v = thread; v < n / W; v += threads) {
        Vector numbers = load_vector(x + v * W);
        Mask passes = 0;
#pragma unroll
        for (int i = 0; i < W; ++i) {
            passes |= Mask(!(numbers.at[i] <= real(0))) << 8 * i;
            numbers.at[i] = relu(numbers.at[i]);
        }
        store_vector(y + v * W, numbers);
        reinterpret_cast<Mask*>(mask)[v] = passes;
    }
    const int i = n - n % W + thread;
    if (i < n) {
        mask[i] = !(x[i] <= real(0));
        y[i] = relu(x[i]);
    }
}

// dx (n,) = dy where the mask is true, else 0.
extern "C" __global__ void __launch_bounds__(256) gate(const real* __restrict__ dy, const bool* __restrict__ mask, real* __restrict__ dx,
                                                       int n) {
    const int thread = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
    for (int v = thread; v < n / W; v += threads) {
        Vector numbers = load_vector(dy + v * W);
        const Mask passes = reinterpret_cast<const Mask*>(mask)[v];
#pragma unroll
        for (int i = 0; i < W; ++i) numbers.at[i] = passes >> 8 * i & 255 ? numbers.at[i] : real(0);
        store_vector(dx + v * W, numbers);
    }
    const int i = n - n % W + thread;
    if (i < n) dx[i] = mask[i] ? dy[i] : real(0);
}

// y (n,) = a + b.
extern "C" __global__ void __launch_bounds__(256) total(const real* __restrict__ a, const real* __restrict__ b, real* __restrict__ y,
                                                        int n) {
    const int thread = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
    for (int v = thread; v < n / W; v += threads) {
        Vector sum = load_vector(a + v * W);
        const Vector other = load_vector(b + v * W);
#pragma unroll
        for (int i = 0; i < W; ++i) sum.at[i] += other.at[i];
        store_vector(y + v * W, sum);
    }
    const int i = n - n % W + thread;
    if (i < n) y[i] = a[i] + b[i];
}
