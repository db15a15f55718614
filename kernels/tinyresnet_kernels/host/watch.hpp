// What the watcher is told of a launch, and what it tells.
#pragma once
#include <cstdint>

// Memory that a kernel was given: one array, or several that share memory. The kernel works on a copy with room on both sides.
struct HostRegion {
    char* data;
    uint64_t bytes;
    uint32_t cell;      // bytes of one number: what is written and read together
    uint32_t writable;  // whether the copy is copied back
    uint64_t offset;    // in the memory that it is a part of: the copy is aligned as the array would be on a device
    char* placed;       // set by the watcher: where the copy lies
    char name[64];
};

// An array in the kernel's static shared memory.
struct HostShared {
    const char* begin;
    uint64_t bytes;
    char name[32];
};

// Sums over a launch. A request is one instruction of one warp; a sector has 32 bytes.
struct HostCounts {
    uint64_t load_requests, store_requests;  // global memory
    uint64_t load_bytes, store_bytes;        // that threads asked for
    uint64_t load_sectors, store_sectors;    // that had to be moved between the multiprocessors' first cache and the kernel
    uint64_t l2_load_sectors;                // of the loads, those that the first cache did not have
    uint64_t dram_load_sectors, dram_store_sectors;
    uint64_t shared_requests, shared_wavefronts, shared_ideal;  // wavefronts: passes over the 32 banks; ideal: without bank conflicts
    uint64_t atomics, barriers, operations;
};

// The same for one instruction.
struct HostSite {
    const void* instruction;
    const char* file;  // and the line, where they are known; else the instruction tells
    uint32_t line, shared, write, size;
    uint64_t requests, bytes, moved, ideal;  // moved: sectors or wavefronts; ideal: the fewest that could serve these bytes
};

extern "C" {
void host_watch_begin(HostRegion* regions, uint32_t count, const HostShared* shared, uint32_t shared_count, uint32_t check, uint32_t counting);
void host_watch_end(HostCounts* counts);
const HostSite* host_watch_sites(uint32_t* count);
void* host_library_base(const void* instruction);  // of the library that holds it
}
