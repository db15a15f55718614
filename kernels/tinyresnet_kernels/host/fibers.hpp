// Switching stacks. On x86-64 in a few instructions (2 ns); elsewhere by ucontext (300 ns).
#pragma once
#include <cstddef>
#include <cstdint>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace host {

#if defined(__x86_64__)
using Stack = void*;  // a suspended stack is its stack pointer: the registers that a call preserves lie on it

extern "C" __attribute__((visibility("hidden"))) void host_switch(void** from, void* to) __asm__("tinyresnet_host_switch");
__asm__(R"(
.text
tinyresnet_host_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");

inline void switch_stacks(Stack& from, Stack& to) { host_switch(&from, to); }

// A stack that will start with `entry`, which never returns.
inline void prepare(Stack& stack, char* memory, size_t size, void (*entry)()) {
    auto top = reinterpret_cast<void**>((reinterpret_cast<uintptr_t>(memory) + size) & ~uintptr_t(15));
    *--top = nullptr;  // where entry would return to; with it the stack is aligned as after a call
    *--top = reinterpret_cast<void*>(entry);
    stack = top - 6;  // the six registers that the switch takes from the stack: any values will do
}
#else
using Stack = ucontext_t;

inline void switch_stacks(Stack& from, Stack& to) { swapcontext(&from, &to); }

inline void prepare(Stack& stack, char* memory, size_t size, void (*entry)()) {
    getcontext(&stack);
    stack.uc_stack.ss_sp = memory;
    stack.uc_stack.ss_size = size;
    stack.uc_link = nullptr;
    makecontext(&stack, entry, 0);
}
#endif

}  // namespace host
