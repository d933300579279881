# Debian packages with CPack: rechost (program and configs), rechost-plugins, rechost-libtorch, rechost-sdk.
# Make them with: cpack --config build/release/CPackConfig.cmake -B build/release/packages
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME rechost)
set(CPACK_PACKAGE_VENDOR "rechost")
set(CPACK_PACKAGE_CONTACT "rechost maintainers <maintainers@rechost.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "trainer for large recommender models")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL rechost plugins sdk)
if(TARGET rechost::torch)
    list(APPEND CPACK_COMPONENTS_ALL libtorch)
endif()
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
# xz needs minutes for LibTorch and saves a fifth; every dpkg since Debian 12 reads zstd.
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)
# Dependencies on the distribution's libraries are read off the binaries; LibTorch's own are found in these folders.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS OFF)
if(TARGET rechost::torch)
    set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS
        ${RECHOST_LIBTORCH_ROOT}/torch/lib ${RECHOST_LIBTORCH_ROOT}/nvidia/cu13/lib)
endif()
if(RECHOST_PARQUET)
    list(APPEND CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${Parquet_LIBRARY_DIR})
endif()

set(CPACK_DEBIAN_RECHOST_PACKAGE_NAME rechost)
set(CPACK_DEBIAN_RECHOST_PACKAGE_RECOMMENDS rechost-plugins)
set(CPACK_COMPONENT_RECHOST_DESCRIPTION
    "Trains, evaluates and serves recommender models that are plugins:\n two-tower, DLRM, DeepFM and your own. One native program, no Python.")
set(CPACK_DEBIAN_PLUGINS_PACKAGE_NAME rechost-plugins)
set(CPACK_DEBIAN_PLUGINS_PACKAGE_DEPENDS
    "rechost (= ${PROJECT_VERSION}-1), rechost-libtorch (>= ${PROJECT_VERSION}-1)")
set(CPACK_COMPONENT_PLUGINS_DESCRIPTION "The models and the loaders of data sets that come with rechost.")
set(CPACK_DEBIAN_LIBTORCH_PACKAGE_NAME rechost-libtorch)
set(CPACK_COMPONENT_LIBTORCH_DESCRIPTION "The libraries of PyTorch that rechost's models use, in a private folder.")
set(CPACK_DEBIAN_SDK_PACKAGE_NAME rechost-sdk)
set(CPACK_DEBIAN_SDK_PACKAGE_DEPENDS "rechost-libtorch (>= ${PROJECT_VERSION}-1)")
set(CPACK_COMPONENT_SDK_DESCRIPTION "Headers and CMake functions to write plugins for rechost.")
include(CPack)
