# xxHash as rechost::xxhash; Debian's libxxhash-dev ships no CMake package of its own.
find_path(XXHASH_INCLUDE_DIR xxhash.h)
find_library(XXHASH_LIBRARY xxhash)
mark_as_advanced(XXHASH_INCLUDE_DIR XXHASH_LIBRARY)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(XxHash REQUIRED_VARS XXHASH_LIBRARY XXHASH_INCLUDE_DIR
    REASON_FAILURE_MESSAGE "install libxxhash-dev")
if(XxHash_FOUND AND NOT TARGET rechost::xxhash)
    add_library(rechost::xxhash UNKNOWN IMPORTED)
    set_target_properties(rechost::xxhash PROPERTIES
        IMPORTED_LOCATION ${XXHASH_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${XXHASH_INCLUDE_DIR})
endif()
