# What every target of this build shares: language level, baseline, warnings, sanitizers, output folders, compiler cache.
include(GNUInstallDirs)

if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux" OR NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
    message(FATAL_ERROR "rechost builds on Linux x86-64 only; this is ${CMAKE_SYSTEM_NAME} ${CMAKE_SYSTEM_PROCESSOR}.")
endif()

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_LINK_DEPENDS_NO_SHARED ON)

# The build tree has the shape of an installed tree: the program finds its plugins relative to itself in both.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
set(RECHOST_PLUGIN_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib/rechost/plugins)

find_program(RECHOST_CCACHE ccache DOC "Compiler cache; packaging scripts point CCACHE_DIR into the rechost cache")
if(RECHOST_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_C_COMPILER_LAUNCHER ${RECHOST_CCACHE})
    set(CMAKE_CXX_COMPILER_LAUNCHER ${RECHOST_CCACHE})
endif()

# Carries flags only; every target of ours links it privately, so that nothing leaks into an installed package.
add_library(rechost_options INTERFACE)
target_compile_definitions(rechost_options INTERFACE RECHOST_VERSION="${PROJECT_VERSION}")
# x86-64-v2 is what every server of the last ten years runs; wider vector code sits in files of its own, chosen at run time.
target_compile_options(rechost_options INTERFACE -march=x86-64-v2)
target_link_options(rechost_options INTERFACE LINKER:--as-needed LINKER:-z,relro LINKER:-z,now)

add_library(rechost_warnings INTERFACE)
# Naming some members of an aggregate and leaving the others at their defaults is how options are written here.
target_compile_options(rechost_warnings INTERFACE -Wall -Wextra -Wno-missing-field-initializers
    $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>)
# g++ 12 at -O3 sees an overflow in fmt's headers and an overlap in std::string's that are not there.
target_compile_options(rechost_warnings INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow -Wno-restrict>)
if(RECHOST_WERROR)
    # The warnings of the optimiser depend on what it happens to inline, so they are shown but stop no build.
    target_compile_options(rechost_warnings INTERFACE -Werror
        -Wno-error=maybe-uninitialized -Wno-error=array-bounds -Wno-error=stringop-overread)
endif()

if(RECHOST_SANITIZE)
    # Global, because a plugin or a test that is not instrumented hides what the rest would report.
    add_compile_options(-fsanitize=${RECHOST_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g)
    add_link_options(-fsanitize=${RECHOST_SANITIZE})
endif()

set_property(GLOBAL PROPERTY RECHOST_FLOORS "")
