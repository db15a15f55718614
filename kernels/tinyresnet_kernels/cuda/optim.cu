// The optimisers' updates of a parameter of n numbers, in place: one pass over it, its gradient and its state.

// One number's step of SGD.
__device__ __forceinline__ void sgd_step(real& data, real grad, real& velocity, real lr, real decay, real momentum, int nesterov) {
    const real g = decay == real(0) ? grad : fma(decay, data, grad);
    velocity = fma(momentum, velocity, g);
    data = fma(-lr, nesterov ? fma(momentum, velocity, g) : velocity, data);
}

// Move data and velocity (n,): velocity = momentum velocity + grad + decay data, data -= lr velocity, or by Nesterov's step.
extern "C" __global__ void __launch_bounds__(256) sgd_update(real* __restrict__ data, const real* __restrict__ grad,
                                                             real* __restrict__ velocity, real lr, real decay, real momentum,
                                                             int nesterov, int n) {
    const int thread = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
    for (int v = thread; v < n / W; v += threads) {
        Vector d = load_vector(data + v * W), s = load_vector(velocity + v * W);
        const Vector g = load_vector(grad + v * W);
#pragma unroll
        for (int i = 0; i < W; ++i) sgd_step(d.at[i], g.at[i], s.at[i], lr, decay, momentum, nesterov);
        store_vector(data + v * W, d);
        store_vector(velocity + v * W, s);
    }
    const int i = n - n % W + thread;
    if (i < n) sgd_step(data[i], grad[i], velocity[i], lr, decay, momentum, nesterov);
}

// One number's step of AdamW.
__device__ __forceinline__ void adamw_step(real& data, real grad, real& m, real& v, real lr, real shrink, real new1, real new2,
                                           real inverse_scale, real eps) {
    m = fma(new1, grad - m, m);
    v = fma(new2, fma(grad, grad, -v), v);
    data = fma(shrink, data, -(lr * m / fma(sqrt(v), inverse_scale, eps)));
}

// Move data, m and v (n,); `shrink` is what decay leaves of data, new1 and new2 weigh the new values in m and v.
extern "C" __global__ void __launch_bounds__(256) adamw_update(real* __restrict__ data, const real* __restrict__ grad,
                                                               real* __restrict__ m, real* __restrict__ v, real lr, real shrink,
                                                               real new1, real new2, real inverse_scale, real eps, int n) {
    const int thread = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
    for (int k = thread; k < n / W; k += threads) {
        Vector d = load_vector(data + k * W), first = load_vector(m + k * W), second = load_vector(v + k * W);
        const Vector g = load_vector(grad + k * W);
#pragma unroll
        for (int i = 0; i < W; ++i) adamw_step(d.at[i], g.at[i], first.at[i], second.at[i], lr, shrink, new1, new2, inverse_scale, eps);
        store_vector(data + k * W, d);
        store_vector(m + k * W, first);
        store_vector(v + k * W, second);
    }
    const int i = n - n % W + thread;
    if (i < n) adamw_step(data[i], grad[i], m[i], v[i], lr, shrink, new1, new2, inverse_scale, eps);
}
