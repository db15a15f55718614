// Runs the threads of a block in turn, each until it waits, finishes or fails; blocks one after the other.
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "scheduler.hpp"

namespace host {

Machine machine;

constexpr unsigned MOST_SHARED = 232448;  // dynamic shared memory of a block on an H100, in bytes

static void fill_in(const char* kind, const void* instruction, const char* file, int line, const char* format, va_list arguments) {
    HostError& error = machine.error;
    error = {};
    snprintf(error.kind, sizeof error.kind, "%s", kind);
    if (file) snprintf(error.file, sizeof error.file, "%s", file);
    error.line = line;
    error.instruction = instruction;
    vsnprintf(error.message, sizeof error.message, format, arguments);
    const Three thread = machine.current ? machine.current->thread : Three{0, 0, 0}, block = machine.block;
    unsigned* to[2] = {error.block, error.thread};
    const Three from[2] = {block, thread};
    for (int i = 0; i < 2; ++i) to[i][0] = from[i].x, to[i][1] = from[i].y, to[i][2] = from[i].z;
}

void note(const char* kind, const void* instruction, const char* file, int line, const char* format, ...) {
    if (machine.failed) return;
    machine.failed = true;
    if (machine.suspected && strcmp(kind, "race")) return;  // what was suspected came first
    va_list arguments;
    va_start(arguments, format);
    fill_in(kind, instruction, file, line, format, arguments);
    va_end(arguments);
}

void suspect(const char* kind, const void* instruction, const char* file, int line, const char* format, ...) {
    if (machine.failed || machine.suspected) return;
    machine.suspected = true;
    va_list arguments;
    va_start(arguments, format);
    fill_in(kind, instruction, file, line, format, arguments);
    va_end(arguments);
}

void leave() { switch_stacks(machine.current->stack, machine.scheduler); }

static void (*body)(void**);
static void** arguments;

static void entry() {
    body(arguments);
    machine.current->state = State::DONE;
    leave();
}

static unsigned lanes_of(unsigned warp) {  // the lanes that exist: the last warp may have fewer than 32
    size_t count = machine.fibers.size() - warp * WARP;
    return count >= WARP ? 0xffffffffu : (1u << count) - 1;
}

// d = a b + c for a (16, 8), b (8, 8), c (16, 8), as the tensor cores have them spread over a warp (PTX manual, mma.m16n8k8, .tf32).
static void multiply_fragments(Fiber* lanes) {
    float a[16][8], b[8][8], c[16][8];
    auto number = [](uint32_t bits) { float x; memcpy(&x, &bits, 4); return x; };
    for (unsigned lane = 0; lane < WARP; ++lane) {
        const unsigned group = lane / 4, in_group = lane % 4;
        const uint32_t* value = lanes[lane].value;
        for (unsigned i = 0; i < 4; ++i) a[group + 8 * (i % 2)][in_group + 4 * (i / 2)] = number(value[i]);
        for (unsigned i = 0; i < 2; ++i) b[in_group + 4 * i][group] = number(value[4 + i]);
        for (unsigned i = 0; i < 4; ++i) c[group + 8 * (i / 2)][2 * in_group + i % 2] = number(value[6 + i]);
    }
    for (auto& row : c) {
        const size_t m = &row - c;
        for (unsigned n = 0; n < 8; ++n)
            for (unsigned k = 0; k < 8; ++k) row[n] += a[m][k] * b[k][n];
    }
    for (unsigned lane = 0; lane < WARP; ++lane)
        for (unsigned i = 0; i < 4; ++i) memcpy(&lanes[lane].value[6 + i], &c[lane / 4 + 8 * (i / 2)][2 * (lane % 4) + i % 2], 4);
}

// What the lanes of a mask, which all wait at the same operation, have made together.
static void finish(Fiber* lanes, unsigned mask) {
    const Collective kind = lanes[__builtin_ctz(mask)].kind;
    uint32_t before[WARP][4], ballot = 0;
    for (unsigned lane = 0; lane < WARP; ++lane) {
        if (!(mask >> lane & 1)) continue;
        memcpy(before[lane], lanes[lane].value, sizeof before[lane]);
        ballot |= unsigned(lanes[lane].value[0] != 0) << lane;
    }
    if (kind == MMA_TF32) multiply_fragments(lanes);
    for (unsigned lane = 0; lane < WARP; ++lane) {
        if (!(mask >> lane & 1)) continue;
        Fiber& fiber = lanes[lane];
        if (kind == BALLOT) fiber.value[0] = ballot;
        if (kind == SHUFFLE) {
            if (!(mask >> fiber.from & 1)) {
                machine.current = &fiber;
                note("shuffle", nullptr, fiber.file, fiber.line, "lane %u reads from lane %u, which is not in the mask %08x", lane, fiber.from, mask);
                return;
            }
            memcpy(fiber.value, before[fiber.from], sizeof before[0]);
        }
        fiber.state = State::RUNNING;
    }
    watch_warp_meets(lanes[0].warp, mask);
}

// Let go every group of lanes whose whole mask waits at the same operation. Whether there was one.
static bool release_warps() {
    bool any = false;
    for (unsigned first = 0; first < machine.fibers.size(); first += WARP) {
        Fiber* lanes = &machine.fibers[first];
        unsigned waiting = 0;
        const unsigned exist = lanes_of(first / WARP);
        for (unsigned lane = 0; exist >> lane & 1; ++lane) {
            waiting |= unsigned(lanes[lane].state == State::IN_COLLECTIVE) << lane;
            if (lane == WARP - 1) break;
        }
        for (unsigned left = waiting; left && !machine.failed;) {
            const Fiber& leader = lanes[__builtin_ctz(left)];
            const unsigned mask = leader.mask & exist;
            bool together = (mask & waiting) == mask;
            for (unsigned lane = 0; lane < WARP && together; ++lane)
                if (mask >> lane & 1) together = lanes[lane].mask == leader.mask && lanes[lane].kind == leader.kind && lanes[lane].line == leader.line;
            if (together) finish(lanes, mask), any = true;
            left &= ~(together ? mask : 1u << leader.lane);
        }
    }
    return any;
}

// Nobody can go on: say who waits for whom.
static void note_deadlock(unsigned at_barrier, unsigned done) {
    for (Fiber& fiber : machine.fibers) {
        if (fiber.state != State::IN_COLLECTIVE) continue;
        machine.current = &fiber;
        note("warp divergence", nullptr, fiber.file, fiber.line, "lane %u waits for the lanes of the mask %08x, and some of them do not come", fiber.lane, fiber.mask);
        return;
    }
    for (Fiber& fiber : machine.fibers) {
        if (fiber.state != State::AT_BARRIER) continue;
        machine.current = &fiber;
        note("barrier divergence", nullptr, fiber.file, fiber.line, "%u of %zu threads are at this or another __syncthreads, %u have finished", at_barrier,
             machine.fibers.size(), done);
        return;
    }
}

static bool same_barrier() {
    const Fiber& first = machine.fibers[0];
    for (Fiber& fiber : machine.fibers) {
        if (fiber.line == first.line && !strcmp(fiber.file, first.file)) continue;
        machine.current = &fiber;
        note("barrier divergence", nullptr, fiber.file, fiber.line, "other threads of the block wait at the __syncthreads of line %d", first.line);
        return false;
    }
    return true;
}

static void run_block(unsigned order, std::mt19937& random) {
    auto& fibers = machine.fibers;
    for (Fiber& fiber : fibers) {
        fiber.state = State::RUNNING;
        fiber.clock = 1;
        memset(fiber.seen, 0, sizeof fiber.seen);
        prepare(fiber.stack, machine.stacks + fiber.linear * STACK_BYTES, STACK_BYTES, entry);
    }
    std::vector<unsigned> turn(fibers.size());
    for (unsigned i = 0; i < turn.size(); ++i) turn[i] = order == 1 ? turn.size() - 1 - i : i;
    while (!machine.failed) {
        if (order > 1) std::shuffle(turn.begin(), turn.end(), random);
        for (unsigned i : turn) {
            if (fibers[i].state != State::RUNNING) continue;
            machine.current = &fibers[i];
            switch_stacks(machine.scheduler, fibers[i].stack);
            if (machine.failed) return;
        }
        if (release_warps()) continue;
        if (machine.suspected) machine.failed = true;
        unsigned at_barrier = 0, done = 0;
        if (machine.failed) return;
        for (const Fiber& fiber : fibers) at_barrier += fiber.state == State::AT_BARRIER, done += fiber.state == State::DONE;
        if (done == fibers.size()) return watch_interval_ends(false);
        if (at_barrier < fibers.size()) return note_deadlock(at_barrier, done);
        if (!same_barrier()) return;
        watch_interval_ends(true);
        ++machine.interval;
        for (Fiber& fiber : fibers) fiber.state = State::RUNNING;
    }
}

static void begin_block(unsigned linear) {
    const Three grid = machine.grid_size;
    machine.linear_block = linear;
    machine.block = {linear % grid.x, linear / grid.x % grid.y, linear / grid.x / grid.y};
    machine.interval = 0;
    // Shared memory holds nothing at first: NaN, so that who reads it shows.
    if (machine.shared_begin) memset(machine.shared_begin, 0xff, machine.shared_end - machine.shared_begin);
    memset(machine.dynamic, 0xff, machine.dynamic_bytes);
    watch_block_begins();
}

static void wait(State state, const char* file, int line) {
    if (!machine.fibers_run) {
        fprintf(stderr, "%s:%d: threads meet in a kernel that was launched as one whose threads do not\n", file, line);
        abort();
    }
    Fiber& me = *machine.current;
    me.state = state, me.file = file, me.line = line;
    leave();
}

}  // namespace host

using namespace host;

extern "C" {

int host_run(const HostLaunch* launch) {
    const unsigned threads = launch->block.x * launch->block.y * launch->block.z;
    if (!machine.stacks) {
        auto reserve = [](size_t bytes) { return static_cast<char*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)); };
        machine.stacks = reserve(MOST_THREADS * STACK_BYTES);
        machine.dynamic = reserve(4 * MOST_SHARED) + MOST_SHARED;  // with room on both sides, where nothing may be touched
    }
    machine.failed = machine.suspected = false, machine.current = nullptr, machine.block = {0, 0, 0};
    machine.grid_size = launch->grid, machine.block_size = launch->block;
    machine.dynamic_bytes = launch->shared_bytes;
    machine.shared_begin = launch->shared_begin, machine.shared_end = launch->shared_end;
    body = launch->body, arguments = launch->arguments;
    machine.fibers.resize(threads);
    for (unsigned i = 0; i < threads; ++i) {
        Fiber& fiber = machine.fibers[i];
        fiber.linear = i, fiber.lane = i % WARP, fiber.warp = i / WARP;
        fiber.thread = {i % launch->block.x, i / launch->block.x % launch->block.y, i / launch->block.x / launch->block.y};
    }
    const unsigned blocks = launch->grid.x * launch->grid.y * launch->grid.z;
    std::mt19937 random(launch->order);
    std::vector<unsigned> turn(blocks);
    for (unsigned i = 0; i < blocks; ++i) turn[i] = launch->order == 1 ? blocks - 1 - i : i;
    if (launch->order > 1) std::shuffle(turn.begin(), turn.end(), random);
    for (unsigned i = 0; i < blocks && !machine.failed; ++i) {
        begin_block(turn[i]);
        machine.fibers_run = launch->fibers || watching;
        if (machine.fibers_run) {
            run_block(launch->order, random);
        } else {
            for (unsigned t = 0; t < threads; ++t) {
                machine.current = &machine.fibers[launch->order == 1 ? threads - 1 - t : t];
                body(arguments);
            }
        }
    }
    return machine.failed;
}

const HostError* host_error() { return &machine.error; }
Three host_thread() { return machine.current->thread; }
Three host_block() { return machine.block; }
Three host_block_size() { return machine.block_size; }
Three host_grid_size() { return machine.grid_size; }
void* host_dynamic_shared() { return machine.dynamic; }
void host_barrier(const char* file, int line) { wait(State::AT_BARRIER, file, line); }

void host_collective(Collective kind, unsigned mask, void* value, unsigned size, unsigned from, const char* file, int line) {
    Fiber& me = *machine.current;
    if (!(mask >> me.lane & 1)) {
        note("warp divergence", nullptr, file, line, "lane %u is not in the mask %08x that it gives", me.lane, mask);
        leave();
    }
    me.kind = kind, me.mask = mask, me.from = from, me.size = size;
    memcpy(me.value, value, size);
    wait(State::IN_COLLECTIVE, file, line);
    memcpy(value, me.value, size);
}
}
