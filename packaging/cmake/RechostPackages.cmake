# The packages, made by CPack from the components of RechostInstall.cmake; packaging/package drives it.
#
# LibTorch's two come from a configuration of their own, CPackLibTorchConfig.cmake: their version is LibTorch's, and packing them takes
# longer than all the rest, which changes more often.
set(CPACK_PACKAGE_NAME rechost)
set(CPACK_PACKAGE_VENDOR "rechost")
set(CPACK_PACKAGE_CONTACT "rechost maintainers <maintainers@rechost.invalid>")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packing)
set(CPACK_COMPONENTS_ALL rechost models dev)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_STRIP_FILES OFF)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
# Runs on the installed tree before it is packed.
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/packaging/cmake/RechostPrepareTree.cmake)
# Each package has a synopsis of its own; CPack puts that of the project before it unless it reads like CPack's default.
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${CMAKE_PROJECT_NAME} built using CMake")

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
# xz needs minutes for LibTorch and Arrow and saves a fifth; every dpkg since Debian 12 reads zstd.
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)
# Dependencies on the distribution's libraries are read off the binaries; LibTorch's own are found in these folders.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# To find binaries, CPack looks into every file by a process of its own: a minute for thousands of headers.
set(CPACK_DEBIAN_DEV_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_LIBTORCH_DEV_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS OFF)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${RECHOST_LIBTORCH_ROOT}/torch/lib ${RECHOST_LIBTORCH_ROOT}/nvidia/cu13/lib)
if(RECHOST_PARQUET)
    list(APPEND CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${Parquet_LIBRARY_DIR})
endif()

set(CPACK_RPM_COMPONENT_INSTALL ON)
set(CPACK_RPM_MAIN_COMPONENT rechost)
set(CPACK_RPM_FILE_NAME RPM-DEFAULT)
set(CPACK_RPM_PACKAGE_RELEASE 1)
# CPack has one license for all packages that it makes together. Boost and nlohmann/json are compiled in, Boost and toml++ come along.
set(CPACK_RPM_PACKAGE_LICENSE "Apache-2.0 AND BSL-1.0 AND MIT")
set(CPACK_RPM_PACKAGE_RELOCATABLE OFF)
# Payloads are zstd of level 3, because CPack's own level needs minutes for LibTorch.
# What lies in the private folder is offered to nobody, and what a package has in it is asked of nobody.
set(CPACK_RPM_SPEC_MORE_DEFINE
"%define packager ${CPACK_PACKAGE_CONTACT}
%define __provides_exclude_from ^%{_prefix}/lib64/rechost/.*$
%define __requires_exclude ^(${RECHOST_BUNDLED_LIBRARIES}|lib(torch_cpu|c10|gomp|cudart|cupti|arrow|parquet)[.]so.*)$
%define _binary_payload w3.zstdio
%define _build_id_links none
%define _buildhost localhost
%define use_source_date_epoch_as_buildtime 1
%define clamp_mtime_to_source_date_epoch 1")
# RechostPrepareTree.cmake has already stripped what is ours; LibTorch stays as it came.
set(CPACK_RPM_SPEC_INSTALL_POST "/bin/true")
# Folders that every distribution has anyway.
set(CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION
    /usr/share/man /usr/share/man/man1 /usr/share/bash-completion /usr/share/bash-completion/completions /usr/share/licenses)

# rechost_describe_package(<component> DEB <name> RPM <name> SECTION <Debian's> SYNOPSIS <line> TEXT <lines>
#     [DEB_DEPENDS <field>] [RPM_REQUIRES <field>])
macro(rechost_describe_package component)
    cmake_parse_arguments(described "" "DEB;RPM;SECTION;SYNOPSIS;TEXT;DEB_DEPENDS;RPM_REQUIRES" "" ${ARGN})
    string(TOUPPER ${component} upper)
    set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${described_DEB})
    set(CPACK_DEBIAN_${upper}_PACKAGE_SECTION ${described_SECTION})
    set(CPACK_DEBIAN_${upper}_DESCRIPTION "${described_SYNOPSIS}\n${described_TEXT}")
    set(CPACK_DEBIAN_${upper}_PACKAGE_DEPENDS "${described_DEB_DEPENDS}")
    set(CPACK_RPM_${component}_PACKAGE_NAME ${described_RPM})
    # Debian's begin with a small letter, the others' with a capital.
    string(SUBSTRING "${described_SYNOPSIS}" 0 1 initial)
    string(TOUPPER ${initial} initial)
    string(REGEX REPLACE "^." "${initial}" synopsis "${described_SYNOPSIS}")
    set(CPACK_RPM_${component}_PACKAGE_SUMMARY "${synopsis}")
    set(CPACK_RPM_${component}_PACKAGE_DESCRIPTION "${described_TEXT}")
    set(CPACK_RPM_${component}_PACKAGE_REQUIRES "${described_RPM_REQUIRES}")
endmacro()

rechost_describe_package(rechost DEB rechost RPM rechost SECTION science
    SYNOPSIS "trainer for large recommender models"
    TEXT "Trains, evaluates and serves recommender models: two-tower for retrieval,
DLRM and DeepFM for ranking. One native program hosts embedding tables, data
loading, optimizers, checkpoints and metrics; models and readers of data are
plugins, which come with rechost-models or are your own.")
set(CPACK_DEBIAN_RECHOST_PACKAGE_RECOMMENDS rechost-models)
set(CPACK_RPM_rechost_PACKAGE_SUGGESTS rechost-models)

# The program is free, but its models need libraries of NVIDIA's that are not: what Debian calls contrib.
rechost_describe_package(models DEB rechost-models RPM rechost-models SECTION contrib/science
    SYNOPSIS "models and data loaders for rechost"
    TEXT "The plugins two_tower, dlrm and deepfm, the readers of data sets, and an
example configuration for each model."
    DEB_DEPENDS "rechost (= ${PROJECT_VERSION}-1), rechost-libtorch (>= ${LibTorch_VERSION}), rechost-libtorch (<< ${LibTorch_VERSION}.1~)"
    RPM_REQUIRES "rechost = ${PROJECT_VERSION}-1, rechost-libtorch >= ${LibTorch_VERSION}, rechost-libtorch < ${LibTorch_VERSION}.1")
rechost_describe_package(dev DEB rechost-dev RPM rechost-devel SECTION contrib/libdevel
    SYNOPSIS "SDK to write plugins for rechost"
    TEXT "Headers of the stable C interface and of the C++ layer over it, the CMake
function that builds a plugin, the template that \"rechost plugins new\" copies,
and the author's guide."
    DEB_DEPENDS "rechost (= ${PROJECT_VERSION}-1), rechost-libtorch-dev (>= ${LibTorch_VERSION}), g++ (>= 4:12), cmake (>= 3.25), make | ninja-build"
    RPM_REQUIRES "rechost = ${PROJECT_VERSION}-1, rechost-libtorch-devel >= ${LibTorch_VERSION}, gcc-c++ >= 12, cmake >= 3.25, make")
rechost_describe_package(libtorch DEB rechost-libtorch RPM rechost-libtorch SECTION non-free/libs
    SYNOPSIS "libraries of LibTorch ${LibTorch_VERSION} for the models of rechost"
    TEXT "The CPU part of PyTorch's C++ libraries, in a folder that only rechost's
plugins search, so that it never meets another PyTorch on the machine.")
set(CPACK_RPM_libtorch_PACKAGE_PROVIDES "bundled(pytorch) = ${LibTorch_VERSION}")
# LibTorch's headers include nlohmann/json.hpp, which it does not ship.
rechost_describe_package(libtorch_dev DEB rechost-libtorch-dev RPM rechost-libtorch-devel SECTION non-free/libdevel
    SYNOPSIS "headers of LibTorch ${LibTorch_VERSION} for plugins of rechost"
    TEXT "What a plugin that uses torch::nn is compiled with. They belong to the
libraries in rechost-libtorch."
    DEB_DEPENDS "rechost-libtorch (>= ${LibTorch_VERSION}), rechost-libtorch (<< ${LibTorch_VERSION}.1~), nlohmann-json3-dev"
    RPM_REQUIRES "rechost-libtorch >= ${LibTorch_VERSION}, rechost-libtorch < ${LibTorch_VERSION}.1, json-devel")

# Line numbers for a debugger go into packages of their own.
set(CPACK_DEBIAN_RECHOST_DEBUGINFO_PACKAGE ON)
set(CPACK_DEBIAN_MODELS_DEBUGINFO_PACKAGE ON)

include(CPack)

file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/CPackLibTorchConfig.cmake @ONLY CONTENT
"include(\"@PROJECT_BINARY_DIR@/CPackConfig.cmake\")
set(CPACK_PACKAGE_VERSION @LibTorch_VERSION@)
set(CPACK_COMPONENTS_ALL libtorch libtorch_dev)
set(CPACK_RPM_MAIN_COMPONENT)
set(CPACK_RPM_PACKAGE_LICENSE \"BSD-3-Clause AND LicenseRef-NVIDIA-CUDA-EULA\")
")
