// What the kernels that stage patches have in common.

#include "geometry.cuh"

// W channels of the pixel at `source`, which has `have` more from there on; zeros for the border (source < 0) and behind the last channel.
__device__ __forceinline__ Vector channels_of(const real* in, int source, int have, bool whole) {
    if (source >= 0 && whole && have > 0) return load_vector(in + source);
    Vector v = zero_vector();
#pragma unroll
    for (int i = 0; i < W; ++i)
        if (source >= 0 && i < have) v.at[i] = in[source + i];
    return v;
}
