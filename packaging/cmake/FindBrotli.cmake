# Brotli as rechost::brotlidec and rechost::brotlienc.
find_path(BROTLI_INCLUDE_DIR brotli/decode.h)
find_library(BROTLI_DECODER_LIBRARY brotlidec)
find_library(BROTLI_ENCODER_LIBRARY brotlienc)
mark_as_advanced(BROTLI_INCLUDE_DIR BROTLI_DECODER_LIBRARY BROTLI_ENCODER_LIBRARY)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Brotli REQUIRED_VARS BROTLI_DECODER_LIBRARY BROTLI_ENCODER_LIBRARY BROTLI_INCLUDE_DIR
    REASON_FAILURE_MESSAGE "install libbrotli-dev")
if(Brotli_FOUND AND NOT TARGET rechost::brotlidec)
    add_library(rechost::brotlidec UNKNOWN IMPORTED)
    set_target_properties(rechost::brotlidec PROPERTIES
        IMPORTED_LOCATION ${BROTLI_DECODER_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${BROTLI_INCLUDE_DIR})
    add_library(rechost::brotlienc UNKNOWN IMPORTED)
    set_target_properties(rechost::brotlienc PROPERTIES
        IMPORTED_LOCATION ${BROTLI_ENCODER_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${BROTLI_INCLUDE_DIR})
endif()
