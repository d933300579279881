# LibTorch as rechost::torch, found by looking at files instead of running torch's own CMake package: that one needs a
# CUDA toolkit whenever torch was built for CUDA, even if only the CPU part is used.
#
# Input:   RECHOST_LIBTORCH_ROOT  folder that holds torch/ and nvidia/ as they lie in a Python site-packages folder
# Output:  LibTorch_FOUND, LibTorch_VERSION (2.11.0), LibTorch_CUDA_VERSION (empty: CPU part), LibTorch_LIBRARY_DIR,
#          targets rechost::c10, rechost::gomp (where LibTorch brings it) and rechost::torch

if(NOT DEFINED RECHOST_LIBTORCH_VERSION)
    set(RECHOST_LIBTORCH_VERSION 2.11.0)
endif()

if(NOT RECHOST_LIBTORCH_ROOT)
    if(DEFINED ENV{RECHOST_LIBTORCH_ROOT})
        set(libtorch_default $ENV{RECHOST_LIBTORCH_ROOT})
    elseif(DEFINED ENV{RECHOST_CACHE})
        set(libtorch_default $ENV{RECHOST_CACHE}/libtorch-${RECHOST_LIBTORCH_VERSION})
    else()
        set(libtorch_default $ENV{HOME}/.cache/rechost/libtorch-${RECHOST_LIBTORCH_VERSION})
    endif()
    # An installed rechost brings the LibTorch that its own plugins use; a plugin should use the very same one.
    if(DEFINED RECHOST_INSTALLED_LIBTORCH AND EXISTS ${RECHOST_INSTALLED_LIBTORCH}/torch/include)
        set(libtorch_default ${RECHOST_INSTALLED_LIBTORCH})
    endif()
    set(RECHOST_LIBTORCH_ROOT ${libtorch_default} CACHE PATH "Folder with torch/ and nvidia/ in site-packages layout" FORCE)
endif()

# No search outside the root: a second torch on the machine must not supply half of the files. Looked up anew in every
# configuration, because the folder may have been filled or moved since the last one.
find_path(LibTorch_INCLUDE_DIR torch/csrc/api/include/torch/nn.h
    PATHS ${RECHOST_LIBTORCH_ROOT}/torch/include NO_DEFAULT_PATH NO_CACHE)
find_library(LibTorch_CPU_LIBRARY torch_cpu
    PATHS ${RECHOST_LIBTORCH_ROOT}/torch/lib NO_DEFAULT_PATH NO_CACHE)
find_library(LibTorch_C10_LIBRARY c10
    PATHS ${RECHOST_LIBTORCH_ROOT}/torch/lib NO_DEFAULT_PATH NO_CACHE)

if(LibTorch_INCLUDE_DIR)
    # torch/headeronly/version.h has the numbers since 2.9, torch/csrc/api/include/torch/version.h before.
    foreach(header IN ITEMS torch/headeronly/version.h torch/csrc/api/include/torch/version.h)
        if(EXISTS ${LibTorch_INCLUDE_DIR}/${header})
            file(STRINGS ${LibTorch_INCLUDE_DIR}/${header} libtorch_lines REGEX "#define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
            foreach(part IN ITEMS MAJOR MINOR PATCH)
                if("${libtorch_lines}" MATCHES "TORCH_VERSION_${part} ([0-9]+)")
                    set(libtorch_${part} ${CMAKE_MATCH_1})
                endif()
            endforeach()
        endif()
        if(DEFINED libtorch_PATCH)
            set(LibTorch_VERSION ${libtorch_MAJOR}.${libtorch_MINOR}.${libtorch_PATCH})
            break()
        endif()
    endforeach()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
    REQUIRED_VARS LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR
    VERSION_VAR LibTorch_VERSION
    REASON_FAILURE_MESSAGE
        "looked in ${RECHOST_LIBTORCH_ROOT}. Run packaging/libtorch to fetch it, or set RECHOST_LIBTORCH_ROOT")

if(LibTorch_FOUND)
    get_filename_component(LibTorch_LIBRARY_DIR ${LibTorch_CPU_LIBRARY} DIRECTORY)
    # Plugins built here use the CPU part only; a CUDA build of a plugin says its CUDA version here.
    set(LibTorch_CUDA_VERSION "")
endif()

if(LibTorch_FOUND AND NOT TARGET rechost::torch)
    add_library(rechost::c10 SHARED IMPORTED GLOBAL)
    set_target_properties(rechost::c10 PROPERTIES IMPORTED_LOCATION ${LibTorch_C10_LIBRARY})
    add_library(rechost::torch SHARED IMPORTED GLOBAL)
    set_target_properties(rechost::torch PROPERTIES
        IMPORTED_LOCATION ${LibTorch_CPU_LIBRARY}
        INTERFACE_LINK_LIBRARIES rechost::c10
        # libtorch_cpu registers its operators in constructors: it must stay even where no symbol is used directly.
        INTERFACE_LINK_OPTIONS "LINKER:--no-as-needed")
    # IMPORTED targets hand their include folders on as -isystem, which the compiler searches after every -I: torch ships
    # its own fmt, and refers to an nlohmann/json that it does not ship, so the system's must win.
    set_target_properties(rechost::torch PROPERTIES
        INTERFACE_SYSTEM_INCLUDE_DIRECTORIES
            "${LibTorch_INCLUDE_DIR};${LibTorch_INCLUDE_DIR}/torch/csrc/api/include"
        INTERFACE_INCLUDE_DIRECTORIES
            "${LibTorch_INCLUDE_DIR};${LibTorch_INCLUDE_DIR}/torch/csrc/api/include")
    # at::parallel_for() is a template: without OpenMP in the plugin's own compilation it is a plain loop of one thread. The runtime
    # must be LibTorch's; compilers that would bring another one go without.
    if(EXISTS ${LibTorch_LIBRARY_DIR}/libgomp.so.1)
        add_library(rechost::gomp SHARED IMPORTED GLOBAL)
        set_target_properties(rechost::gomp PROPERTIES IMPORTED_LOCATION ${LibTorch_LIBRARY_DIR}/libgomp.so.1)
        set_target_properties(rechost::torch PROPERTIES
            INTERFACE_COMPILE_OPTIONS "$<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fopenmp>"
            INTERFACE_LINK_LIBRARIES "rechost::c10;rechost::gomp")
    endif()
endif()
