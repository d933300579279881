# Zstandard as rechost::zstd; distributions disagree on the name of the package that libzstd itself installs.
find_path(ZSTD_INCLUDE_DIR zstd.h)
find_library(ZSTD_LIBRARY zstd)
mark_as_advanced(ZSTD_INCLUDE_DIR ZSTD_LIBRARY)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Zstd REQUIRED_VARS ZSTD_LIBRARY ZSTD_INCLUDE_DIR
    REASON_FAILURE_MESSAGE "install libzstd-dev")
if(Zstd_FOUND AND NOT TARGET rechost::zstd)
    add_library(rechost::zstd UNKNOWN IMPORTED)
    set_target_properties(rechost::zstd PROPERTIES
        IMPORTED_LOCATION ${ZSTD_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${ZSTD_INCLUDE_DIR})
endif()
