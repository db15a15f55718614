// CUDA C++ as far as the kernels use it, on the CPU: what NVRTC knows by itself. Stands before the kernel's text.
#pragma once
#define TINYRESNET_HOST 1
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

#include "runtime.hpp"

// Static shared memory lies in a section of its own, whose ends the linker knows; a module without any has none.
#ifdef __APPLE__
#define TINYRESNET_SECTION "__DATA,cuda_shared"
#define TINYRESNET_SECTION_END(end) "section$" end "$__DATA$cuda_shared"
#else
#define TINYRESNET_SECTION "cuda_shared"
#define TINYRESNET_SECTION_END(end) "__" end "_cuda_shared"
#endif
extern char host_shared_begin[] __asm__(TINYRESNET_SECTION_END("start")) __attribute__((weak));
extern char host_shared_end[] __asm__(TINYRESNET_SECTION_END("stop")) __attribute__((weak));
extern "C" char* host_shared(int end) { return end ? host_shared_end : host_shared_begin; }

#define __global__ __attribute__((noinline))
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static __attribute__((section(TINYRESNET_SECTION), used))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

#define threadIdx (host_thread())
#define blockIdx (host_block())
#define blockDim (host_block_size())
#define gridDim (host_grid_size())
constexpr int warpSize = 32;

using std::exp;
using std::fma;
using std::log;
using std::max;
using std::min;
using std::sqrt;
// Of a number and a NaN, CUDA's max and min give the number; std::max and std::min, the first argument.
inline float max(float a, float b) { return std::fmax(a, b); }
inline float min(float a, float b) { return std::fmin(a, b); }
inline double max(double a, double b) { return std::fmax(a, b); }
inline double min(double a, double b) { return std::fmin(a, b); }

#ifdef TINYRESNET_WATCH
#include "counted.hpp"
typedef Counted<REAL> real;
#else
typedef REAL real;
#endif
constexpr int W = 16 / sizeof(real);

struct alignas(16) Vector {
    real at[W];
};

typedef REAL HostVector __attribute__((vector_size(16), may_alias));  // so that a load of 16 bytes is one access, as on the device

inline Vector load_vector(const real* from) {
    const HostVector raw = *reinterpret_cast<const HostVector*>(from);
    Vector v;
    memcpy(&v, &raw, 16);
    return v;
}

inline void store_vector(real* to, Vector v) {
    HostVector raw;
    memcpy(&raw, &v, 16);
    *reinterpret_cast<HostVector*>(to) = raw;
}

#define __syncthreads() host_barrier(__FILE__, __LINE__)
#define __syncwarp(...) host_sync_warp(__FILE__, __LINE__ __VA_OPT__(,) __VA_ARGS__)
#define __shfl_sync(...) host_shuffle(__FILE__, __LINE__, 'i', __VA_ARGS__)
#define __shfl_up_sync(...) host_shuffle(__FILE__, __LINE__, 'u', __VA_ARGS__)
#define __shfl_down_sync(...) host_shuffle(__FILE__, __LINE__, 'd', __VA_ARGS__)
#define __shfl_xor_sync(...) host_shuffle(__FILE__, __LINE__, 'x', __VA_ARGS__)
#define __ballot_sync(mask, vote) host_ballot(__FILE__, __LINE__, mask, vote)
#define __any_sync(mask, vote) (host_ballot(__FILE__, __LINE__, mask, vote) != 0)
#define __all_sync(mask, vote) (host_ballot(__FILE__, __LINE__, mask, !(vote)) == 0)
#define mma_tf32(d, a, b) host_mma_tf32(__FILE__, __LINE__, d, a, b)

inline void host_sync_warp(const char* file, int line, unsigned mask = 0xffffffffu) {
    unsigned nothing = 0;
    host_collective(SYNC, mask, &nothing, sizeof nothing, 0, file, line);
}

// The value of another lane within a part of the warp that is `width` lanes wide; one's own where that lane lies outside the part.
template <class T>
T host_shuffle(const char* file, int line, char way, unsigned mask, T value, int by, int width = 32) {
    const Three thread = host_thread(), size = host_block_size();
    const int lane = (thread.x + size.x * (thread.y + size.y * thread.z)) % 32, first = lane & ~(width - 1);
    int from = way == 'u' ? lane - by : way == 'd' ? lane + by : way == 'x' ? lane ^ by : first + by % width;
    if (way == 'u' ? from < first : from >= first + width) from = lane;
    host_collective(SHUFFLE, mask, &value, sizeof value, from, file, line);
    return value;
}

inline unsigned host_ballot(const char* file, int line, unsigned mask, bool vote) {
    unsigned value = vote;
    host_collective(BALLOT, mask, &value, sizeof value, 0, file, line);
    return value;
}

// TF32 keeps 10 bits of the mantissa, rounded to nearest, ties away from zero (cvt.rna).
inline uint32_t host_tf32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & ~0x1fffu;
}

// d (16, 8) += a (16, 8) b (8, 8), spread over the warp.
template <class T>
void host_mma_tf32(const char* file, int line, T* d, const T* a, const T* b) {
    uint32_t words[10];
    for (int i = 0; i < 4; ++i) words[i] = host_tf32(float(a[i]));
    for (int i = 0; i < 2; ++i) words[4 + i] = host_tf32(float(b[i]));
    for (int i = 0; i < 4; ++i) {
        const float x = float(d[i]);
        memcpy(&words[6 + i], &x, 4);
    }
    host_collective(MMA_TF32, 0xffffffffu, words, sizeof words, 0, file, line);
    for (int i = 0; i < 4; ++i) {
        float x;
        memcpy(&x, &words[6 + i], 4);
        d[i] = T(x);
    }
#ifdef TINYRESNET_WATCH
    host_count(16 * 8 * 8 * 2 / 32);
#endif
}

template <class T> T __ldg(const T* from) { return *from; }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }

#define TINYRESNET_ATOMIC(name, result)                                                                    \
    template <class T>                                                                                     \
    __attribute__((no_sanitize("thread"), noinline)) T host_##name(const char* file, int line, T* at, std::common_type_t<T> value) { \
        host_atomic(at, sizeof(T), file, line);                                                            \
        const T before = *at;                                                                              \
        *at = result;                                                                                      \
        return before;                                                                                     \
    }
TINYRESNET_ATOMIC(atomicAdd, before + value)
TINYRESNET_ATOMIC(atomicMax, max(before, value))
TINYRESNET_ATOMIC(atomicMin, min(before, value))
TINYRESNET_ATOMIC(atomicExch, value)
#define atomicAdd(...) host_atomicAdd(__FILE__, __LINE__, __VA_ARGS__)
#define atomicMax(...) host_atomicMax(__FILE__, __LINE__, __VA_ARGS__)
#define atomicMin(...) host_atomicMin(__FILE__, __LINE__, __VA_ARGS__)
#define atomicExch(...) host_atomicExch(__FILE__, __LINE__, __VA_ARGS__)

// What Python must know of a kernel's parameters: "cf4" is a pointer to constant numbers of 4 bytes, "mi4" one to whole numbers that may be
// written, "i4" a whole number.
namespace host {
template <class T> std::string code() {
    using Plain = std::remove_cv_t<std::remove_pointer_t<T>>;
    const std::string kind = std::is_same_v<Plain, bool> ? "b" : std::is_integral_v<Plain> ? (std::is_signed_v<Plain> ? "i" : "u") : "f";
    const char* access = !std::is_pointer_v<T> ? "" : std::is_const_v<std::remove_pointer_t<T>> ? "c" : "m";
    return access + kind + std::to_string(sizeof(Plain));
}

template <class... P> std::string codes(void (*)(P...)) {
    std::string all;
    ((all += (all.empty() ? "" : " ") + code<P>()), ...);
    return all;
}

template <class... P, size_t... I>
__attribute__((no_sanitize("thread"))) void call(void (*kernel)(P...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_const_t<P>*>(arguments[I])...);
}
template <class... P> __attribute__((no_sanitize("thread"))) void call(void (*kernel)(P...), void** arguments) {
    call(kernel, arguments, std::index_sequence_for<P...>{});
}
}  // namespace host

// For each kernel, behind the kernel's text.
#define TINYRESNET_EXPORT(kernel)                                                                            \
    extern "C" __attribute__((no_sanitize("thread"))) void body_##kernel(void** a) { host::call(kernel, a); } \
    extern "C" const char* signature_##kernel() {                                                             \
        static const std::string codes = host::codes(kernel);                                                 \
        return codes.c_str();                                                                                 \
    }
