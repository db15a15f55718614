// What stands before every kernel file: the number type, 16-byte vectors of it, and sums over a warp.
//
// REAL is float or double, chosen when a module is compiled. Where these files run on the CPU (TINYRESNET_HOST), the runtime's header has
// defined `real`, `Vector` and its loads before; everything else is the same source.

#ifndef TINYRESNET_HOST
typedef REAL real;
constexpr int W = 16 / sizeof(real);  // numbers in a vector of 16 bytes: 4 floats or 2 doubles

struct alignas(16) Vector {
    real at[W];
};

// 16 bytes in one access; the address must be a multiple of 16.
__device__ __forceinline__ Vector load_vector(const real* from) { return *reinterpret_cast<const Vector*>(from); }
__device__ __forceinline__ void store_vector(real* to, Vector v) { *reinterpret_cast<Vector*>(to) = v; }
#endif

constexpr unsigned ALL_LANES = 0xffffffffu;

__device__ __forceinline__ Vector zero_vector() {
    Vector v;
#pragma unroll
    for (int i = 0; i < W; ++i) v.at[i] = real(0);
    return v;
}

// A vector, or one number in its first place: what a thread holds of a pixel's channels.
template <int WIDTH> __device__ __forceinline__ Vector load(const real* from) {
    if constexpr (WIDTH == W) return load_vector(from);
    Vector v = zero_vector();
    v.at[0] = from[0];
    return v;
}

template <int WIDTH> __device__ __forceinline__ void store(real* to, Vector v) {
    if constexpr (WIDTH == W) store_vector(to, v);
    else to[0] = v.at[0];
}

// x where it is not below zero, else zero: a NaN passes.
__device__ __forceinline__ real relu(real x) { return x <= real(0) ? real(0) : x; }

// The sum over all 32 lanes, in every lane, always in the same order.
__device__ __forceinline__ real warp_sum(real x) {
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) x += __shfl_xor_sync(ALL_LANES, x, step);
    return x;
}
