// The state of the block that runs, shared by the runtime and the watcher.
#pragma once
#include <vector>

#include "fibers.hpp"
#include "runtime.hpp"

namespace host {

constexpr unsigned WARP = 32, MOST_THREADS = 1024;
constexpr size_t STACK_BYTES = 32 * 1024 + 13 * 64;  // no power of two, or all stacks would lie in the same sets of the cache

enum class State { RUNNING, AT_BARRIER, IN_COLLECTIVE, DONE };

// A CUDA thread.
struct Fiber {
    Stack stack;
    Three thread;
    unsigned linear, lane, warp;
    State state;
    const char* file;  // of the barrier or the warp's operation at which it waits
    int line;
    Collective kind;
    unsigned mask, from, size;
    uint32_t value[10];
    unsigned clock;               // of the watcher: how many warp operations it has been through, from 1
    unsigned seen[WARP];          // of the watcher: up to which clock each lane of its warp lies before it
};

struct Machine {
    std::vector<Fiber> fibers;  // of the block
    Fiber* current = nullptr;
    Three block, block_size, grid_size;
    unsigned linear_block = 0, interval = 0;  // the number of the block, and of barriers that it has passed
    char* stacks = nullptr;                   // of all fibers, one after the other
    char* dynamic = nullptr;                  // dynamic shared memory
    unsigned dynamic_bytes = 0;
    char *shared_begin = nullptr, *shared_end = nullptr;
    Stack scheduler;
    bool failed = false, suspected = false, fibers_run = false;
    HostError error;  // if failed; or what is suspected
};
extern Machine machine;

// Note an error; the first one counts. Who then leaves its fiber does not do what is about to go wrong.
void note(const char* kind, const void* instruction, const char* file, int line, const char* format, ...) __attribute__((format(printf, 5, 6)));
void leave();

// Note an error that a race may turn out to be the reason of: it counts when the threads come to their next barrier and none was found.
void suspect(const char* kind, const void* instruction, const char* file, int line, const char* format, ...) __attribute__((format(printf, 5, 6)));

// What the watcher wants to know (watch.cpp); each returns at once when nothing is watched.
void watch_block_begins();
void watch_interval_ends(bool at_barrier);  // all threads are at one, or done
void watch_warp_meets(unsigned warp, unsigned mask);
extern bool watching;

}  // namespace host
