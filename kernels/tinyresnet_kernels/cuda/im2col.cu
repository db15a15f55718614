// im2col and col2im: the two moves between pictures (N, C, H, W), C-contiguous, and their windows as columns (N, C*KH*KW, OH*OW).

// One thread, one window of one channel: all KH*KW numbers of it, so that finding its place is paid for once. For each kernel place
// neighbouring threads write neighbouring numbers.
extern "C" __global__ void __launch_bounds__(256) im2col(const real* __restrict__ x, real* __restrict__ cols, int NC, int H, int W_, int OH, int OW,
                                                         int KH, int KW, int SH, int SW, int PH, int PW, int DH, int DW) {
    const int P = OH * OW, count = NC * P;
    for (int window = blockIdx.x * blockDim.x + threadIdx.x; window < count; window += gridDim.x * blockDim.x) {
        const int picture = window / P, p = window % P;
        const int top = p / OW * SH - PH, left = p % OW * SW - PW;
        const real* from = x + picture * H * W_;
        real* to = cols + picture * KH * KW * P + p;
        for (int i = 0; i < KH; ++i) {
            const int h = top + i * DH;
            for (int j = 0; j < KW; ++j, to += P) {
                const int w = left + j * DW;
                *to = 0 <= h && h < H && 0 <= w && w < W_ ? from[h * W_ + w] : real(0);
            }
        }
    }
}

// The adjoint by gathering: one thread owns one pixel and sums the columns in which it occurs, always in the same order. Nobody else writes
// there, so no atomics are needed, and the bits are the same on every run. Kernel place (i, j) saw pixel (h, w) from window (oh, ow) where
//     oh * SH = h + PH - i * DH    and    ow * SW = w + PW - j * DW.
extern "C" __global__ void __launch_bounds__(256) col2im(const real* __restrict__ cols, real* __restrict__ x, int NC, int H, int W_, int OH, int OW,
                                                         int KH, int KW, int SH, int SW, int PH, int PW, int DH, int DW) {
    const int P = OH * OW, count = NC * H * W_;
    for (int pixel = blockIdx.x * blockDim.x + threadIdx.x; pixel < count; pixel += gridDim.x * blockDim.x) {
        const int picture = pixel / (H * W_), h = pixel / W_ % H, w = pixel % W_;
        const real* from = cols + picture * KH * KW * P;
        real sum = real(0);
        for (int i = 0; i < KH; ++i) {
            const int down = h + PH - i * DH, oh = down / SH;
            if (down < 0 || oh * SH != down || oh >= OH) continue;
            for (int j = 0; j < KW; ++j) {
                const int across = w + PW - j * DW, ow = across / SW;
                if (across < 0 || ow * SW != across || ow >= OW) continue;
                sum += from[(i * KW + j) * P + oh * OW + ow];
            }
        }
        x[pixel] = sum;
    }
}
