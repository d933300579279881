// One function for every processor: the loader of the program picks the copy for the one it runs on.
#pragma once

#define MODEL_KERNELS_FOR_ALL_PROCESSORS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
