// A tiled matrix product: C (M, N) = A (M, K) @ B (K, N), all row-major, of any sizes.
//
// The check launches blocks of 16x16 threads: blockIdx.x counts tiles of 16 columns of C, blockIdx.y tiles of 16 rows. Each thread makes one
// number of C. Without tiles every number of A is read N times; with them a block brings 16x16 numbers of A and of B into shared memory
// at a time, and each is used 16 times.
//
//              k ->  [ B ]  16 of K, 16 of N
//     [ A ]          [ C ]  16 of M, 16 of N
//
// `real` is float or double: write real(0) for zero, fma(a, b, c) for a*b + c.

extern "C" __global__ void matmul(const real* a, const real* b, real* c, int M, int N, int K) {
    __shared__ real tile_a[16][16], tile_b[16][16];
    //[ c: bring a tile of each, wait, multiply, wait, and go on to the next tiles along K. Mind sizes that are no multiples of 16.
    const int x = threadIdx.x, y = threadIdx.y;
    const int m = blockIdx.y * 16 + y, n = blockIdx.x * 16 + x;
    real sum = real(0);
    for (int from = 0; from < K; from += 16) {
        //[ b: bring one number of A to tile_a[y][x] and one of B to tile_b[y][x]; 0 for what lies outside. Neighbours in x should read neighbours.
        tile_a[y][x] = m < M && from + x < K ? a[m * K + from + x] : real(0);
        tile_b[y][x] = from + y < K && n < N ? b[(from + y) * N + n] : real(0);
        //]
        //[ b: what must happen before a thread may read what others brought?
        __syncthreads();
        //]
        //[ b: add 16 products to sum: this row of tile_a, this column of tile_b.
        for (int k = 0; k < 16; ++k) sum = fma(tile_a[y][k], tile_b[k][x], sum);
        //]
        //[ b: and before the tiles may be overwritten?
        __syncthreads();  // nobody may still be reading
        //]
    }
    if (m < M && n < N) c[m * N + n] = sum;
    //]
}

//! tiles = int(rng.integers(2, 6))
//! n = 16 * tiles
//? blocks: M = N = K = n. How many blocks of 16x16 outputs are there?  = tiles ** 2
//? naive: without tiles, each output reads its row of A and its column of B. How many numbers are read in all?  = 2 * n ** 3
//? tiled: and with tiles of 16x16?  = 2 * n ** 3 / 16
//? barriers: how many __syncthreads() does one block meet?  = 2 * tiles
//? sectors: 32 threads read 32 neighbouring floats. How many sectors of 32 bytes is that?  = 4
//? strided: the same threads read floats that lie n numbers apart. How many sectors now?  = 32
