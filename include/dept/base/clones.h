// Function clones for wider vectors.
#pragma once

// One clone a vector width, chosen when the program starts. Not under the sanitizers, which cannot instrument the chooser.
#if defined(__SANITIZE_ADDRESS__) || !defined(__x86_64__)
#define DEPT_CLONES
#else
#define DEPT_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif
#define DEPT_INLINE inline __attribute__((always_inline))
