// What accesses cost: the lanes of a warp that are at the same instruction for the same time make one request.
#pragma once
#include "scheduler.hpp"
#include "watch.hpp"

namespace host {

void traffic_begins();
void traffic_block_begins();
void traffic_interval_ends();
void traffic_ends(HostCounts* counts);
void count_access(const void* instruction, const char* file, int line, uint32_t offset, unsigned size, bool shared, bool write);

}  // namespace host
