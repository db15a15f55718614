// Who may meet whom at a number in memory: two accesses, one of them a write, must be ordered by something between them (happens-before).
// A barrier orders all threads of a block; a warp's operation, the lanes of its mask; nothing orders two blocks of a launch.
#pragma once
#include "scheduler.hpp"

namespace host {

struct Access {
    uint32_t block = ~0u, interval = 0, thread = 0, clock = 0;  // block ~0: there was none
    bool atomic = false;
};

// What is known of one number: its last writer and its last two readers that are not the same thread.
struct Cell {
    Access writer, readers[2];
    bool valid = false;
};

inline bool ordered(const Access& before, const Access& now) {
    if (before.block == ~0u) return true;
    if (before.block != now.block) return false;
    if (before.thread == now.thread || before.interval < now.interval) return true;
    return before.thread / WARP == now.thread / WARP && machine.current->seen[before.thread % WARP] >= before.clock;
}

inline const Access* conflict_of_read(const Cell& cell, const Access& now) {
    return ordered(cell.writer, now) ? nullptr : &cell.writer;
}

inline const Access* conflict_of_write(const Cell& cell, const Access& now) {
    if (!ordered(cell.writer, now) && !(cell.writer.atomic && now.atomic)) return &cell.writer;
    for (const Access& reader : cell.readers)
        if (!ordered(reader, now)) return &reader;
    return nullptr;
}

inline void remember_reader(Cell& cell, const Access& now) {
    if (cell.readers[0].block != now.block || cell.readers[0].thread != now.thread) cell.readers[1] = cell.readers[0];
    cell.readers[0] = now;
}

// The lanes of the mask have met: each has seen whatever any of them has seen or done.
inline void join_clocks(Fiber* lanes, unsigned mask) {
    unsigned together[WARP] = {};
    for (unsigned lane = 0; lane < WARP; ++lane) {
        if (!(mask >> lane & 1)) continue;
        for (unsigned i = 0; i < WARP; ++i) together[i] = lanes[lane].seen[i] > together[i] ? lanes[lane].seen[i] : together[i];
        together[lane] = lanes[lane].clock > together[lane] ? lanes[lane].clock : together[lane];
    }
    for (unsigned lane = 0; lane < WARP; ++lane) {
        if (!(mask >> lane & 1)) continue;
        for (unsigned i = 0; i < WARP; ++i) lanes[lane].seen[i] = together[i];
        ++lanes[lane].clock;
    }
}

}  // namespace host
