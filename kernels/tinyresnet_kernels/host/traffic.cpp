// Puts the accesses of a warp's lanes together to requests, and counts what they move.
//
// A fiber runs alone from barrier to barrier, so the lanes' accesses come one lane after the other. The n-th time that a lane comes to an
// instruction belongs to the n-th time of the other lanes: counted anew from each barrier on, since all threads are at it together.
#include "traffic.hpp"

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <vector>

#include "caches.hpp"

namespace host {
namespace {

constexpr uint32_t L1_BYTES = 16 << 10;  // a block's share of the first cache (up to 128 KiB, less shared memory, for several blocks)
constexpr uint32_t L2_BYTES = 4 << 20;   // of the smallest of the cards (T4)

struct Request {
    uint32_t mask = 0, size = 0;
    uint32_t offset[WARP];
};

// One instruction, and its unfinished requests by warp.
struct Site {
    HostSite totals;
    std::vector<Request> requests[MOST_THREADS / WARP];
    std::vector<uint32_t> times;  // that each thread has been here since the last barrier
};

std::vector<Site> sites;
std::unordered_map<const void*, uint32_t> site_of;
std::vector<std::pair<uint32_t, uint32_t>> open;  // (site, warp) with requests since the last barrier
HostCounts total;
SectorCache l1(L1_BYTES), l2(L2_BYTES);

void to_dram(uint32_t sector, bool write) {
    bool written_back;
    if (!l2.touch(sector, write, &written_back) && !write) ++total.dram_load_sectors;
    total.dram_store_sectors += written_back;
}

void count_global(const Request& request, HostSite& site) {
    uint32_t sectors[WARP];
    unsigned lanes = 0, different = 0;
    for (unsigned lane = 0; lane < WARP; ++lane)
        if (request.mask >> lane & 1) sectors[lanes++] = request.offset[lane] / 32;
    std::sort(sectors, sectors + lanes);
    const bool write = site.write;
    for (unsigned i = 0; i < lanes; ++i) {
        if (i && sectors[i] == sectors[i - 1]) continue;
        ++different;
        bool ignored;
        if (write) {
            to_dram(sectors[i], true);
        } else if (!l1.touch(sectors[i], false, &ignored)) {
            ++total.l2_load_sectors;
            to_dram(sectors[i], false);
        }
    }
    const uint64_t bytes = uint64_t(lanes) * request.size;
    (write ? total.store_requests : total.load_requests) += 1;
    (write ? total.store_bytes : total.load_bytes) += bytes;
    (write ? total.store_sectors : total.load_sectors) += different;
    site.moved += different;
    site.ideal += (std::min<uint64_t>(bytes, 1024) + 31) / 32;
    site.bytes += bytes;
}

// 32 banks of 4 bytes. 8 bytes a lane are served for 16 lanes at a time, 16 bytes for 8; lanes that want the same word share it.
void count_shared(const Request& request, HostSite& site) {
    const unsigned words = std::max(1u, request.size / 4), together = WARP / words;
    for (unsigned first = 0; first < WARP; first += together) {
        uint32_t wanted[WARP];
        unsigned count = 0, in_bank[32] = {}, most = 0;
        for (unsigned lane = first; lane < first + together; ++lane) {
            if (!(request.mask >> lane & 1)) continue;
            for (unsigned w = 0; w < words; ++w) wanted[count++] = request.offset[lane] / 4 + w;
        }
        std::sort(wanted, wanted + count);
        for (unsigned i = 0; i < count; ++i)
            if (!i || wanted[i] != wanted[i - 1]) most = std::max(most, ++in_bank[wanted[i] % 32]);
        site.moved += most, total.shared_wavefronts += most;
        site.ideal += count > 0, total.shared_ideal += count > 0;
    }
    ++total.shared_requests;
    site.bytes += uint64_t(__builtin_popcount(request.mask)) * request.size;
}

void finish(Request& request, HostSite& site) {
    if (!request.mask) return;
    ++site.requests;
    site.shared ? count_shared(request, site) : count_global(request, site);
    request.mask = 0;
}

}  // namespace

void count_access(const void* instruction, const char* file, int line, uint32_t offset, unsigned size, bool shared, bool write) {
    auto [found, is_new] = site_of.try_emplace(file ? file + line : instruction, sites.size());
    if (is_new) {
        sites.emplace_back();
        sites.back().totals = {instruction, file, uint32_t(line), shared, write, size, 0, 0, 0, 0};
        sites.back().times.resize(MOST_THREADS);
    }
    Site& site = sites[found->second];
    const Fiber& me = *machine.current;
    std::vector<Request>& requests = site.requests[me.warp];
    const uint32_t time = site.times[me.linear]++;
    if (requests.empty()) open.emplace_back(found->second, me.warp);
    if (time >= requests.size()) requests.resize(time + 1);
    Request& request = requests[time];
    request.mask |= 1u << me.lane, request.size = size, request.offset[me.lane] = offset;
    if (request.mask == 0xffffffffu) finish(request, site.totals);
}

void traffic_begins() {
    sites.clear(), site_of.clear(), open.clear();
    total = {};
    l2.clear();
}

void traffic_block_begins() { l1.clear(); }

void traffic_interval_ends() {
    for (auto [index, warp] : open) {
        Site& site = sites[index];
        for (Request& request : site.requests[warp]) finish(request, site.totals);
        site.requests[warp].clear();
        std::fill_n(site.times.begin() + warp * WARP, WARP, 0);
    }
    open.clear();
}

void traffic_ends(HostCounts* counts) {
    traffic_interval_ends();
    total.dram_store_sectors += l2.dirty();
    *counts = total;
}

}  // namespace host

extern "C" const HostSite* host_watch_sites(uint32_t* count) {
    static std::vector<HostSite> found;
    found.clear();
    for (const auto& site : host::sites) found.push_back(site.totals);
    *count = found.size();
    return found.data();
}
