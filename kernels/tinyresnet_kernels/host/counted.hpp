// Numbers that count the operations done with them; memory sees plain numbers.
#pragma once

extern "C" uint64_t host_operations;

// In assembly, for the sanitizer's hooks must not see it.
#if defined(__x86_64__)
#define host_count(n) __asm__("addq %1, %0" : "+m"(host_operations) : "er"(uint64_t(n)))
#else
extern "C" void host_count_operations(uint64_t n);
#define host_count(n) host_count_operations(n)
#endif

template <class T> struct Counted {
    T number;

    constexpr Counted() : number() {}  // constant, so that shared arrays need no initialisation at run time
    template <class U, class = std::enable_if_t<std::is_arithmetic_v<U>>> Counted(U x) : number(T(x)) {}
    template <class U, class = std::enable_if_t<std::is_arithmetic_v<U>>> explicit operator U() const { return U(number); }

#define COUNTED_OPERATION(op)                                                                      \
    friend Counted operator op(Counted a, Counted b) { host_count(1); return Counted(T(a.number op b.number)); } \
    Counted& operator op##=(Counted b) { return *this = *this op b; }
    COUNTED_OPERATION(+)
    COUNTED_OPERATION(-)
    COUNTED_OPERATION(*)
    COUNTED_OPERATION(/)
#undef COUNTED_OPERATION
    Counted operator-() const { return Counted(-number); }

#define COUNTED_COMPARISON(op) \
    friend bool operator op(Counted a, Counted b) { return a.number op b.number; }
    COUNTED_COMPARISON(<)
    COUNTED_COMPARISON(<=)
    COUNTED_COMPARISON(>)
    COUNTED_COMPARISON(>=)
    COUNTED_COMPARISON(==)
    COUNTED_COMPARISON(!=)
#undef COUNTED_COMPARISON

    friend Counted fma(Counted a, Counted b, Counted c) { host_count(2); return Counted(std::fma(a.number, b.number, c.number)); }
    friend Counted max(Counted a, Counted b) { return Counted(std::fmax(a.number, b.number)); }
    friend Counted min(Counted a, Counted b) { return Counted(std::fmin(a.number, b.number)); }
    friend Counted exp(Counted x) { host_count(1); return Counted(std::exp(x.number)); }
    friend Counted log(Counted x) { host_count(1); return Counted(std::log(x.number)); }
    friend Counted sqrt(Counted x) { host_count(1); return Counted(std::sqrt(x.number)); }
};
