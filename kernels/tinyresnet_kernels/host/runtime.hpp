// The runtime that runs a CUDA kernel's threads as fibers of one CPU thread: what kernels call (kernel_side.hpp) and what Python calls.
#pragma once
#include <cstdint>

struct Three {
    unsigned x = 1, y = 1, z = 1;
};

// One launch of a kernel. `body` unpacks the arguments and calls the kernel; it is run once for every CUDA thread.
struct HostLaunch {
    Three grid, block;
    unsigned shared_bytes;  // dynamic shared memory
    unsigned order;         // of blocks and threads: 0 forward, 1 backward, else a seed
    unsigned fibers;        // 0: the kernel has no barrier and no warp operation, so that each thread can run to its end
    void (*body)(void** arguments);
    void** arguments;
    char *shared_begin, *shared_end;  // the module's static shared memory
};

// What went wrong, and where: a line where the runtime knows it, else the address of the instruction.
struct HostError {
    char kind[32], message[320], file[64];
    int line;
    const void* instruction;
    unsigned block[3], thread[3];
};

// What a warp does together.
enum Collective { SYNC, SHUFFLE, BALLOT, MMA_TF32 };

extern "C" {
int host_run(const HostLaunch* launch);  // 0, or 1 and there is an error
const HostError* host_error();

Three host_thread() __attribute__((const));  // threadIdx: the same at every moment of a thread's life
Three host_block() __attribute__((const));
Three host_block_size() __attribute__((const));
Three host_grid_size() __attribute__((const));
void* host_dynamic_shared();
void host_barrier(const char* file, int line);

// All lanes of the mask meet. SHUFFLE: `value` becomes that of lane `from`; BALLOT: `value` (unsigned) the mask of lanes where it was not 0;
// MMA_TF32: of `value`, ten words of a (4), b (2) and c (4), the last four become the sums.
void host_collective(Collective kind, unsigned mask, void* value, unsigned size, unsigned from, const char* file, int line);
void host_atomic(const void* address, unsigned size, const char* file, int line);
}
