// The matrix product C (M, N) = A (M, K) @ B (K, N), all row-major, of any sizes, as a ladder: every version changes one thing.
//
// blockIdx.x counts tiles of rows, blockIdx.y tiles of columns. blockIdx.z counts the products of a batch: each starts so many numbers after
// the one before it (`a_batch`, 0 where they share A, ...).

// v1: one thread, one output. A warp's threads lie side by side in a row of C: they read one number of A and neighbours of B. Every number of
// A is read N times, of B M times.
extern "C" __global__ void __launch_bounds__(256) matmul_v1(const real* __restrict__ a, const real* __restrict__ b, real* __restrict__ c,
                                                            int M, int N, int K, int a_batch, int b_batch, int c_batch) {
    const int m = blockIdx.x * 8 + threadIdx.x / 32, n = blockIdx.y * 32 + threadIdx.x % 32;
    if (m >= M || n >= N) return;
    a += blockIdx.z * a_batch + m * K;
    b += blockIdx.z * b_batch + n;
    real sum = real(0);
    for (int k = 0; k < K; ++k) sum = fma(a[k], b[k * N], sum);
    c[blockIdx.z * c_batch + m * N + n] = sum;
}

// v2: a block of 16x16 threads brings a tile of 16x16 numbers of A and one of B into shared memory, where each of them is used 16 times.
//
//              k ->  [ B ]  16 of K, 16 of N
//     [ A ]          [ C ]  one number a thread
extern "C" __global__ void __launch_bounds__(256) matmul_v2(const real* __restrict__ a, const real* __restrict__ b, real* __restrict__ c,
                                                            int M, int N, int K, int a_batch, int b_batch, int c_batch) {
    __shared__ real tile_a[16][16], tile_b[16][16];
    const int x = threadIdx.x % 16, y = threadIdx.x / 16;
    const int m = blockIdx.x * 16 + y, n = blockIdx.y * 16 + x;
    a += blockIdx.z * a_batch;
    b += blockIdx.z * b_batch;
    real sum = real(0);
    for (int from = 0; from < K; from += 16) {
        tile_a[y][x] = m < M && from + x < K ? a[m * K + from + x] : real(0);
        tile_b[y][x] = n < N && from + y < K ? b[(from + y) * N + n] : real(0);
        __syncthreads();
#pragma unroll
        for (int k = 0; k < 16; ++k) sum = fma(tile_a[y][k], tile_b[k][x], sum);
        __syncthreads();  // before the tiles are overwritten
    }
    if (m < M && n < N) c[blockIdx.z * c_batch + m * N + n] = sum;
}

// v3: a thread makes 4x4 outputs in registers. For each k it reads 4 + 4 numbers from shared memory and makes 16 products; v2 reads 2 for one.
extern "C" __global__ void __launch_bounds__(256) matmul_v3(const real* __restrict__ a, const real* __restrict__ b, real* __restrict__ c,
                                                            int M, int N, int K, int a_batch, int b_batch, int c_batch) {
    __shared__ real tile_a[16][66], tile_b[16][64];  // A's turned: [k][m]; 66: 16 k's times 2 rows are written to 32 different banks
    const int x = threadIdx.x % 16, y = threadIdx.x / 16;
    const int top = blockIdx.x * 64, left = blockIdx.y * 64;
    a += blockIdx.z * a_batch;
    b += blockIdx.z * b_batch;
    real sum[4][4];
#pragma unroll
    for (int i = 0; i < 16; ++i) sum[i / 4][i % 4] = real(0);
    for (int from = 0; from < K; from += 16) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int m = top + y + 16 * i, n = left + x + 16 * i;
            tile_a[x][y + 16 * i] = m < M && from + x < K ? a[m * K + from + x] : real(0);
            tile_b[y][x + 16 * i] = n < N && from + y < K ? b[(from + y) * N + n] : real(0);
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < 16; ++k) {
            real column[4], row[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) column[i] = tile_a[k][y + 16 * i], row[i] = tile_b[k][x + 16 * i];
#pragma unroll
            for (int i = 0; i < 16; ++i) sum[i / 4][i % 4] = fma(column[i / 4], row[i % 4], sum[i / 4][i % 4]);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 16; ++i) {
        const int m = top + y + 16 * (i / 4), n = left + x + 16 * (i % 4);
        if (m < M && n < N) c[blockIdx.z * c_batch + m * N + n] = sum[i / 4][i % 4];
    }
}

// W numbers of a row of `length` numbers, from `at` on: in one access where rows are whole vectors. Zeros behind the end.
__device__ __forceinline__ Vector part_of_row(const real* row, int at, int length, bool vectors) {
    if (vectors && at < length) return load_vector(row + at);
    Vector v = zero_vector();
#pragma unroll
    for (int i = 0; i < W; ++i)
        if (at + i < length) v.at[i] = row[at + i];
    return v;
}

// v4: all accesses are of 16 bytes, and shared memory holds two pairs of tiles: while products are made from one, the next is on its way
// through registers into the other, so that one barrier a step is enough and the way from memory is hidden. A thread makes 2x2 squares of
// 4x4 outputs (float; of 2x2 in double). `vectors`: N and K are multiples of W, and A, B and C begin at multiples of 16 bytes.
extern "C" __global__ void __launch_bounds__(256, 2) matmul_v4(const real* __restrict__ a, const real* __restrict__ b, real* __restrict__ c,
                                                            int M, int N, int K, int a_batch, int b_batch, int c_batch, int vectors) {
    constexpr int TILE = 32 * W, STEP = 8, PITCH = TILE + W;  // PITCH: the turned tile of A is written without bank conflicts
    __shared__ __align__(16) real tile_a[2][STEP * PITCH], tile_b[2][STEP * TILE];
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    // A warp is 8 threads along N by 4 along M: of the lanes that read at the same time, many read the same vector.
    const int x = (lane & 1 | lane >> 2 & 6) + warp % 2 * 8, y = (lane >> 1 & 3) + warp / 2 * 4;
    const int top = blockIdx.x * TILE, left = blockIdx.y * TILE;
    a += blockIdx.z * a_batch;
    b += blockIdx.z * b_batch;
    // Which vector of each tile this thread brings.
    const int m = thread / (STEP / W), k_of_a = thread % (STEP / W) * W, k_of_b = thread / 32, n = thread % 32 * W;
    const bool row_a = top + m < M;
    a += row_a ? (top + m) * K : 0;

    real sum[2 * W][2 * W];
#pragma unroll
    for (int i = 0; i < 4 * W * W; ++i) sum[i / (2 * W)][i % (2 * W)] = real(0);
    const int steps = (K + STEP - 1) / STEP;
    for (int step = -1; step < steps; ++step) {  // step -1 only brings the first tiles
        const int from = (step + 1) * STEP, now = step & 1, next = now ^ 1;
        const bool more = step + 1 < steps;
        Vector part_a = zero_vector(), part_b = zero_vector();
        if (more && row_a) part_a = part_of_row(a, from + k_of_a, K, vectors);
        if (more && from + k_of_b < K) part_b = part_of_row(b + (from + k_of_b) * N, left + n, N, vectors);
        if (step >= 0) {
#pragma unroll
            for (int k = 0; k < STEP; ++k) {
                Vector column[2], row[2];
#pragma unroll
                for (int i = 0; i < 2; ++i) {
                    column[i] = load_vector(tile_a[now] + k * PITCH + (y + 16 * i) * W);
                    row[i] = load_vector(tile_b[now] + k * TILE + (x + 16 * i) * W);
                }
#pragma unroll
                for (int i = 0; i < 2 * W; ++i)
#pragma unroll
                    for (int j = 0; j < 2 * W; ++j) sum[i][j] = fma(column[i / W].at[i % W], row[j / W].at[j % W], sum[i][j]);
            }
        }
        if (more) {
#pragma unroll
            for (int i = 0; i < W; ++i) tile_a[next][(k_of_a + i) * PITCH + m] = part_a.at[i];
            store_vector(tile_b[next] + k_of_b * TILE + n, part_b);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 2 * W; ++i) {
        const int row = top + (y + 16 * (i / W)) * W + i % W;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int column = left + (x + 16 * half) * W;
            if (row >= M || column >= N) continue;
            real* to = c + blockIdx.z * c_batch + row * N + column;
            Vector v;
#pragma unroll
            for (int j = 0; j < W; ++j) v.at[j] = sum[i][half * W + j];
            if (vectors) {
                store_vector(to, v);
            } else {
#pragma unroll
                for (int j = 0; j < W; ++j)
                    if (column + j < N) to[j] = v.at[j];
            }
        }
    }
}
