// Softmax cross-entropy: one warp a row of logits (N, K); lane l has the classes l, l + 32, ...

constexpr int ROWS = 8;  // of a block of 256 threads

// The largest over all lanes, in every lane; a NaN may get lost.
__device__ __forceinline__ real warp_max(real x) {
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) {
        const real other = __shfl_xor_sync(ALL_LANES, x, step);
        x = other > x ? other : x;
    }
    return x;
}

// p (N, K) = softmax(logits), losses (N,) = -sum over k of target log p. A NaN makes NaNs of the whole row, by way of its sum.
extern "C" __global__ void __launch_bounds__(256, 4) cross_entropy_rows(const real* __restrict__ logits, const real* __restrict__ target,
                                                                        real* p, real* __restrict__ losses, int N, int K) {
    const int row = blockIdx.x * ROWS + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= N) return;  // a whole warp
    const real *z = logits + row * K, *wanted = target + row * K;
    real* q = p + row * K;
    real largest = z[0];
    for (int k = lane; k < K; k += 32) largest = z[k] > largest ? z[k] : largest;
    largest = warp_max(largest);
    real sum = real(0);
    for (int k = lane; k < K; k += 32) {
        q[k] = exp(z[k] - largest);  // at most 1: exp cannot overflow
        sum += q[k];
    }
    sum = warp_sum(sum);
    const real log_sum = log(sum);
    real loss = real(0);
    for (int k = lane; k < K; k += 32) {
        q[k] /= sum;
        if (wanted[k] != real(0)) loss = fma(-wanted[k], z[k] - largest - log_sum, loss);  // 0 log 0 is 0 here
    }
    loss = warp_sum(loss);
    if (lane == 0) losses[row] = loss;
}

// dlogits (N, K) = factor (p - target), and 0 in rows whose target is all 0: those are ignored. `factor` is one number, on the device.
extern "C" __global__ void __launch_bounds__(256) cross_entropy_gradient_rows(const real* __restrict__ p, const real* __restrict__ target,
                                                                              const real* __restrict__ factor, real* __restrict__ dlogits,
                                                                              int N, int K) {
    const int row = blockIdx.x * ROWS + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= N) return;
    bool mine = false;
    for (int k = lane; k < K; k += 32) mine |= target[row * K + k] != real(0);
    const bool counts = __any_sync(ALL_LANES, mine);
    for (int k = lane; k < K; k += 32) {
        const int o = row * K + k;
        dlogits[o] = (counts ? p[o] - target[o] : real(0)) * factor[0];
    }
}
