# The module rechost_cuda: every *.cu of core/ in one library that the program opens when it is to use a GPU. RECHOST_CUDA is
#   ON    built, and the configuration fails where there is no toolkit
#   AUTO  built where a toolkit is found
#   OFF   left out; the program then says so when it is asked for a GPU
file(GLOB RECHOST_CUDA_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/core/*/*.cu)
set(RECHOST_CUDA_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib/rechost)

if(RECHOST_CUDA)
    include(CheckLanguage)
    if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
        # The toolkit's usual place is on nobody's PATH by itself.
        find_program(RECHOST_NVCC nvcc PATHS $ENV{CUDA_HOME}/bin /usr/local/cuda/bin DOC "CUDA compiler")
        if(RECHOST_NVCC)
            set(CMAKE_CUDA_COMPILER ${RECHOST_NVCC})
        endif()
    endif()
    check_language(CUDA)
    if(NOT CMAKE_CUDA_COMPILER AND NOT RECHOST_CUDA STREQUAL "AUTO")
        message(FATAL_ERROR "RECHOST_CUDA is ${RECHOST_CUDA}, but no CUDA toolkit was found: put its nvcc on PATH, set CUDACXX to it, "
                            "or leave the module out with -DRECHOST_CUDA=OFF.")
    endif()
endif()

if(RECHOST_CUDA AND CMAKE_CUDA_COMPILER)
    if(RECHOST_SANITIZE)
        message(FATAL_ERROR "RECHOST_CUDA and RECHOST_SANITIZE do not go together: nvcc knows no sanitizers.")
    endif()
    set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
    # Code for the GPUs of the last years, and PTX from which a driver makes code for later ones.
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90)
    if(RECHOST_CCACHE AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
        set(CMAKE_CUDA_COMPILER_LAUNCHER ${RECHOST_CCACHE})
    endif()
    enable_language(CUDA)
    if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.0)
        message(FATAL_ERROR "The CUDA toolkit ${CMAKE_CUDA_COMPILER_VERSION} (${CMAKE_CUDA_COMPILER}) knows no C++20, which needs 12.0: install a "
                            "newer one, or leave the module out with -DRECHOST_CUDA=OFF.")
    endif()

    add_library(rechost_cuda MODULE ${RECHOST_CUDA_SOURCES})
    # CUDA's runtime is linked in: what a machine must have is the driver alone, and LibTorch's copy stays apart.
    set_target_properties(rechost_cuda PROPERTIES
        PREFIX "" CUDA_RUNTIME_LIBRARY Static LIBRARY_OUTPUT_DIRECTORY ${RECHOST_CUDA_OUTPUT_DIRECTORY})
    target_include_directories(rechost_cuda PRIVATE ${PROJECT_SOURCE_DIR}/core)
    target_compile_definitions(rechost_cuda PRIVATE RECHOST_VERSION="${PROJECT_VERSION}")
    # CMake 3.25 does not know that nvcc can do C++20: its properties, which follow those of C++, cannot ask for it.
    set_property(TARGET rechost_cuda PROPERTY CXX_STANDARD)
    set_property(TARGET rechost_cuda PROPERTY CXX_EXTENSIONS)
    target_compile_options(rechost_cuda PRIVATE -std=c++20 -Xcompiler=-Wall,-Wextra,-march=x86-64-v2)
    if(RECHOST_WERROR)
        target_compile_options(rechost_cuda PRIVATE -Werror=all-warnings -Xcompiler=-Werror)
    endif()
    target_link_options(rechost_cuda PRIVATE LINKER:--no-undefined LINKER:--exclude-libs,ALL LINKER:--as-needed)

    # NCCL in a module of its own: what ranks on GPUs talk through.
    find_package(CUDAToolkit REQUIRED)
    find_package(fmt 9 REQUIRED)
    find_path(RECHOST_NCCL_INCLUDE_DIR nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
    find_library(RECHOST_NCCL_LIBRARY nccl HINTS ${CUDAToolkit_LIBRARY_DIR})
    if(RECHOST_NCCL_INCLUDE_DIR AND RECHOST_NCCL_LIBRARY)
        add_library(rechost_nccl MODULE ${PROJECT_SOURCE_DIR}/core/comm/nccl/nccl_communicator.cpp)
        set_target_properties(rechost_nccl PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${RECHOST_CUDA_OUTPUT_DIRECTORY})
        target_include_directories(rechost_nccl PRIVATE ${PROJECT_SOURCE_DIR}/core)
        target_include_directories(rechost_nccl SYSTEM PRIVATE ${RECHOST_NCCL_INCLUDE_DIR})
        target_link_libraries(rechost_nccl PRIVATE rechost_options rechost_warnings fmt::fmt CUDA::cudart_static ${RECHOST_NCCL_LIBRARY})
        target_link_options(rechost_nccl PRIVATE LINKER:--no-undefined LINKER:--exclude-libs,ALL)
    endif()
endif()
