// The watcher: at every access to memory, whether it may be, and what it costs. The sanitizer's calls (-fsanitize=thread) come here.
#include "watch.hpp"

#include <dlfcn.h>
#include <sys/mman.h>

#include <cstring>
#include <vector>

#include "races.hpp"
#include "scheduler.hpp"
#include "traffic.hpp"

extern "C" {
uint64_t host_operations;
void host_count_operations(uint64_t n) { host_operations += n; }
}

namespace host {

bool watching = false;

namespace {

constexpr size_t ARENA = size_t(4) << 30, ROOM = 16 << 20;
constexpr unsigned char UNWRITTEN = 0xa5;  // what fills memory that nobody has written to (watch.py)

struct Region {
    HostRegion* given;
    const char *begin, *end;
    std::vector<Cell> cells;
};

struct Watcher {
    std::vector<Region> regions;  // of global memory
    std::vector<HostShared> variables;  // of static shared memory; empty where the platform does not tell
    std::vector<Cell> shared, dynamic;
    size_t last = 0;  // the region of the last access
    char* arena = nullptr;
    bool checking = false, counting = false;
    uint64_t barriers = 0, atomics = 0;
};
Watcher watcher;

constexpr unsigned SHARED_CELL = 4;

// The region of global memory that holds the address; null if there is none.
Region* region_of(const char* address) {
    auto holds = [&](const Region& r) { return address >= r.begin && address < r.end; };
    if (watcher.last < watcher.regions.size() && holds(watcher.regions[watcher.last])) return &watcher.regions[watcher.last];
    for (Region& region : watcher.regions) {
        if (!holds(region)) continue;
        watcher.last = &region - &watcher.regions[0];
        return &region;
    }
    return nullptr;
}

bool in_a_variable(const char* address, unsigned size) {
    for (const HostShared& variable : watcher.variables)
        if (address >= variable.begin && address + size <= variable.begin + variable.bytes) return true;
    return watcher.variables.empty();
}

void note_outside(const char* address, unsigned size, const char* verb, const void* instruction) {
    auto far = [](const char* from, const char* to) { return static_cast<long long>(to - from); };
    if (address >= machine.dynamic - (1 << 16) && address < machine.dynamic + machine.dynamic_bytes + (1 << 16))
        return note("out of bounds", instruction, nullptr, 0, "%s %u bytes at byte %lld of %u of dynamic shared memory", verb, size, far(machine.dynamic, address),
                    machine.dynamic_bytes);
    const Region* nearest = nullptr;
    long long least = 1ll << 62;
    for (const Region& region : watcher.regions) {
        const long long distance = address < region.begin ? far(address, region.begin) : far(region.end, address);
        if (distance < least) least = distance, nearest = &region;
    }
    if (!nearest || least > static_cast<long long>(ROOM))
        return note("out of bounds", instruction, nullptr, 0, "%s %u bytes far from every array that it was given", verb, size);
    note("out of bounds", instruction, nullptr, 0, "%s %u bytes at byte %lld of %s, which has %llu", verb, size, far(nearest->begin, address), nearest->given->name,
         static_cast<unsigned long long>(nearest->given->bytes));
}

// The cells of an access are looked at one by one; the first that is wrong ends the fiber.
void check_cells(Cell* cells, unsigned count, bool global, bool write, bool atomic, const char* what, const void* instruction, const char* file, int line) {
    const Access now = {machine.linear_block, machine.interval, machine.current->linear, machine.current->clock, atomic};
    for (Cell* cell = cells; cell < cells + count; ++cell) {
        if (!global && cell->writer.block != now.block) *cell = {};  // another block's: this one's memory holds nothing yet
        if ((!write || atomic) && !cell->valid)
            suspect("uninitialised", instruction, file, line, "reads a number of %s that nobody has written", what);
        const Access* other = write ? conflict_of_write(*cell, now) : conflict_of_read(*cell, now);
        if (other) {
            const bool other_block = other->block != now.block;
            note("race", instruction, file, line, "%s a number of %s that thread %u of %s block %s, with nothing between the two that orders them", write ? "writes" : "reads", what,
                 other->thread, other_block ? "another" : "the same", other == &cell->writer ? "writes" : "reads");
            leave();
        }
        if (write) {
            cell->valid = true, cell->writer = now;
        } else {
            remember_reader(*cell, now);
        }
    }
}

void access(const char* address, unsigned size, bool write, bool atomic, const void* instruction, const char* file = nullptr, int line = 0) {
    if (!watching || !machine.current) return;
    if (size_t(address - machine.stacks) < MOST_THREADS * STACK_BYTES) return;  // a register, or would be on a GPU
    if (reinterpret_cast<uintptr_t>(address) % size) {
        note("misaligned", instruction, file, line, "%s %u bytes at an address that is no multiple of %u", write ? "writes" : "reads", size, size);
        leave();
    }
    const char* const begins[2] = {machine.shared_begin, machine.dynamic};
    const char* const ends[2] = {machine.shared_end, machine.dynamic + machine.dynamic_bytes};
    std::vector<Cell>* const cells[2] = {&watcher.shared, &watcher.dynamic};
    for (int i = 0; i < 2; ++i) {
        if (address < begins[i] || address + size > ends[i]) continue;
        if (i == 0 && !in_a_variable(address, size)) {
            note("out of bounds", instruction, file, line, "%s %u bytes of static shared memory outside of every array that the kernel has there", write ? "writes" : "reads", size);
            leave();
        }
        const size_t first = (address - begins[i]) / SHARED_CELL, count = (size + SHARED_CELL - 1) / SHARED_CELL;
        if (watcher.checking) check_cells(&(*cells[i])[first], count, false, write, atomic, "shared memory", instruction, file, line);
        if (watcher.counting) count_access(instruction, file, line, static_cast<uint32_t>(address - begins[i]) + (i << 20), size, true, write);
        return;
    }
    Region* region = region_of(address);
    if (!region || address + size > region->end) {
        note_outside(address, size, write ? "writes" : "reads", instruction);
        leave();
    }
    const uint32_t cell = region->given->cell;
    const size_t first = (address - region->begin) / cell, count = (size + cell - 1) / cell;
    if (watcher.checking) check_cells(&region->cells[first], count, true, write, atomic, region->given->name, instruction, file, line);
    if (watcher.counting) count_access(instruction, file, line, static_cast<uint32_t>(address - watcher.arena), size, false, write);
}

}  // namespace

void watch_block_begins() {
    if (!watching) return;
    watcher.shared.resize((machine.shared_end - machine.shared_begin) / SHARED_CELL + 1);
    watcher.dynamic.resize(machine.dynamic_bytes / SHARED_CELL + 1);
    traffic_block_begins();
}

void watch_interval_ends(bool at_barrier) {
    if (!watching) return;
    watcher.barriers += at_barrier;
    traffic_interval_ends();
}

void watch_warp_meets(unsigned warp, unsigned mask) {
    if (watching) join_clocks(&machine.fibers[warp * WARP], mask);
}

}  // namespace host

using namespace host;

extern "C" {

void host_watch_begin(HostRegion* regions, uint32_t count, const HostShared* shared, uint32_t shared_count, uint32_t check, uint32_t counting) {
    watcher.variables.assign(shared, shared + shared_count);
    if (!watcher.arena) watcher.arena = static_cast<char*>(mmap(nullptr, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    watcher.regions.clear();
    watcher.shared.clear(), watcher.dynamic.clear();
    watcher.checking = check, watcher.counting = counting;
    watcher.barriers = watcher.atomics = host_operations = 0;
    char* free = watcher.arena + ROOM;
    for (uint32_t i = 0; i < count; ++i) {
        HostRegion& given = regions[i];
        given.placed = free + given.offset % 256;  // allocations on a device start at multiples of 256
        memcpy(given.placed, given.data, given.bytes);
        free = given.placed + given.bytes + ROOM;
        free += 256 - reinterpret_cast<uintptr_t>(free) % 256;
        Region region{&given, given.placed, given.placed + given.bytes, {}};
        if (check) {
            region.cells.resize(given.bytes / given.cell);
            for (size_t c = 0; c < region.cells.size(); ++c)
                for (uint32_t b = 0; b < given.cell; ++b) region.cells[c].valid |= static_cast<unsigned char>(given.placed[c * given.cell + b]) != UNWRITTEN;
        }
        watcher.regions.push_back(std::move(region));
    }
    traffic_begins();
    watching = true;
}

void host_watch_end(HostCounts* counts) {
    watching = false;
    traffic_ends(counts);
    counts->barriers = watcher.barriers;
    counts->atomics = watcher.atomics;
    counts->operations = host_operations;
    for (Region& region : watcher.regions)
        if (region.given->writable) memcpy(region.given->data, region.given->placed, region.given->bytes);
    watcher.regions.clear();
}

void* host_library_base(const void* instruction) {
    Dl_info info;
    return dladdr(instruction, &info) ? info.dli_fbase : nullptr;
}

void host_atomic(const void* address, unsigned size, const char* file, int line) {
    watcher.atomics += watching;
    access(static_cast<const char*>(address), size, true, true, __builtin_return_address(0), file, line);
}

#define HOOK(name, size, write) \
    void name(void* address) { access(static_cast<const char*>(address), size, write, false, __builtin_return_address(0)); }
#define HOOKS(size)                             \
    HOOK(__tsan_read##size, size, false)        \
    HOOK(__tsan_write##size, size, true)        \
    HOOK(__tsan_unaligned_read##size, size, false) \
    HOOK(__tsan_unaligned_write##size, size, true)
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
void __tsan_read_range(void* address, unsigned long bytes) {
    for (unsigned long i = 0; i < bytes; i += 4) access(static_cast<const char*>(address) + i, 4, false, false, __builtin_return_address(0));
}
void __tsan_write_range(void* address, unsigned long bytes) {
    for (unsigned long i = 0; i < bytes; i += 4) access(static_cast<const char*>(address) + i, 4, true, false, __builtin_return_address(0));
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
}
