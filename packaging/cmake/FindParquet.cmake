# Arrow's Parquet library as rechost::parquet, from the folder that packaging/arrow makes.
#
# Input:   RECHOST_ARROW_ROOT  folder that holds pyarrow/ as it lies in a Python site-packages folder
# Output:  Parquet_FOUND, Parquet_VERSION (26.0.1), Parquet_LIBRARY_DIR, target rechost::parquet
set(RECHOST_ARROW_VERSION 26.0.1)

if(NOT RECHOST_ARROW_ROOT)
    if(DEFINED ENV{RECHOST_CACHE})
        set(arrow_default $ENV{RECHOST_CACHE}/arrow-${RECHOST_ARROW_VERSION})
    else()
        set(arrow_default $ENV{HOME}/.cache/rechost/arrow-${RECHOST_ARROW_VERSION})
    endif()
    set(RECHOST_ARROW_ROOT ${arrow_default} CACHE PATH "Folder with pyarrow/ in site-packages layout" FORCE)
endif()

# No search outside the root: another Arrow on the machine must not supply half of the files. Looked up anew in every configuration,
# because the folder may have been filled or moved since the last one.
find_path(Parquet_INCLUDE_DIR parquet/column_reader.h PATHS ${RECHOST_ARROW_ROOT}/pyarrow/include NO_DEFAULT_PATH NO_CACHE)
# The wheel has no libparquet.so without a version.
file(GLOB Parquet_LIBRARY ${RECHOST_ARROW_ROOT}/pyarrow/libparquet.so.*)
file(GLOB Parquet_ARROW_LIBRARY ${RECHOST_ARROW_ROOT}/pyarrow/libarrow.so.*)

if(Parquet_INCLUDE_DIR)
    file(STRINGS ${Parquet_INCLUDE_DIR}/arrow/util/config.h arrow_line REGEX "#define ARROW_VERSION_STRING ")
    string(REGEX MATCH "[0-9]+[.][0-9]+[.][0-9]+" Parquet_VERSION "${arrow_line}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Parquet
    REQUIRED_VARS Parquet_LIBRARY Parquet_ARROW_LIBRARY Parquet_INCLUDE_DIR
    VERSION_VAR Parquet_VERSION
    REASON_FAILURE_MESSAGE
        "looked in ${RECHOST_ARROW_ROOT}. Run packaging/arrow to fetch it, set RECHOST_ARROW_ROOT, or build without the loader of Parquet files: -DRECHOST_PARQUET=OFF")

if(Parquet_FOUND)
    get_filename_component(Parquet_LIBRARY_DIR ${Parquet_LIBRARY} DIRECTORY)
endif()
if(Parquet_FOUND AND NOT TARGET rechost::parquet)
    add_library(rechost::arrow SHARED IMPORTED GLOBAL)
    set_target_properties(rechost::arrow PROPERTIES IMPORTED_LOCATION ${Parquet_ARROW_LIBRARY})
    add_library(rechost::parquet SHARED IMPORTED GLOBAL)
    set_target_properties(rechost::parquet PROPERTIES
        IMPORTED_LOCATION ${Parquet_LIBRARY}
        INTERFACE_LINK_LIBRARIES rechost::arrow
        INTERFACE_INCLUDE_DIRECTORIES ${Parquet_INCLUDE_DIR})
endif()
