// A convolution's sizes as kernels know them: a row of integers, as `geometry.py` makes it, for each class of output pixels.

struct Axis {
    int size, out_size;                  // of the picture that is read, and of that which is written
    int outputs, out_first, out_step;    // the outputs of this class
    int taps, tap_first, tap_step;       // the kernel places that they see
    int start, step, stride, reach;      // output u reads at tap k: start + step * (stride * u + reach * k)
    __device__ int reads(int u, int k) const { return start + step * (stride * u + reach * k); }
};

struct Geometry {
    int N, C, O, K, M, weight_m, weight_k, weight_group, kernel_width;
    Axis down, across;
    __device__ int pixels() const { return N * down.outputs * across.outputs; }
    __device__ int taps() const { return down.taps * across.taps; }
};

// An output pixel: its picture and its place there, counted within its class.
struct Pixel {
    int n, u, v;
    __device__ Pixel(const Geometry& g, int p) : n(p / (g.down.outputs * g.across.outputs)), u(p / g.across.outputs % g.down.outputs), v(p % g.across.outputs) {}
    __device__ int written(const Geometry& g) const {
        const Axis &d = g.down, &a = g.across;
        return ((n * d.out_size + d.out_first + d.out_step * u) * a.out_size + a.out_first + a.out_step * v) * g.O;
    }
};

// Where the number of this pixel, tap (i, j) and channel stands; -1 where the tap looks beside the picture.
__device__ __forceinline__ int place_read(const Geometry& g, const Pixel& p, int i, int j, int channel) {
    const int h = g.down.reads(p.u, i), w = g.across.reads(p.v, j);
    const bool inside = 0 <= h && h < g.down.size && 0 <= w && w < g.across.size;
    return inside ? ((p.n * g.down.size + h) * g.across.size + w) * g.C + channel : -1;
}

// Where the weight of output m, channel k, tap (i, j) stands in memory (O, C/groups, KH, KW), from its group's first on.
__device__ __forceinline__ int place_weight(const Geometry& g, int m, int k, int i, int j) {
    return m * g.weight_m + k * g.weight_k + (g.down.tap_first + i * g.down.tap_step) * g.kernel_width + g.across.tap_first + j * g.across.tap_step;
}

// blockIdx.x counts tiles of pixels and, faster, tiles of outputs: blocks that read the same pixels run at the same time. blockIdx.y is the
// class, blockIdx.z the group. This is where a block works:
struct Tile {
    int pixel, output;
    __device__ Tile(const Geometry& g, int pixels, int outputs) {
        const int across = (g.M + outputs - 1) / outputs;
        pixel = blockIdx.x / across * pixels, output = blockIdx.x % across * outputs;
    }
};
