// A model of a cache: which sectors of 32 bytes are in it. 16 ways, the one that was used the longest ago goes.
#pragma once
#include <cstdint>
#include <vector>

namespace host {

class SectorCache {
  public:
    explicit SectorCache(uint32_t bytes) : sets_(bytes / 32 / WAYS), ways_(sets_ * WAYS) {}

    void clear() {
        for (Way& way : ways_) way = {};
    }

    // Whether the sector was there; it is now. `written_back` becomes true if one that had been written to had to go for it.
    bool touch(uint32_t sector, bool write, bool* written_back) {
        Way* set = &ways_[(sector * 2654435761u >> 8) % sets_ * WAYS];
        Way* oldest = set;
        *written_back = false;
        for (Way* way = set; way < set + WAYS; ++way) {
            if (way->used && way->sector == sector) {
                way->used = ++now_, way->dirty |= write;
                return true;
            }
            if (way->used < oldest->used) oldest = way;
        }
        *written_back = oldest->used && oldest->dirty;
        *oldest = {++now_, sector, write};
        return false;
    }

    uint64_t dirty() const {
        uint64_t count = 0;
        for (const Way& way : ways_) count += way.used && way.dirty;
        return count;
    }

  private:
    static constexpr uint32_t WAYS = 16;
    struct Way {
        uint64_t used = 0;  // when; 0: never
        uint32_t sector = 0;
        bool dirty = false;
    };
    uint32_t sets_;
    uint64_t now_ = 0;
    std::vector<Way> ways_;
};

}  // namespace host
