# The installed tree: the program, what is written about it, plugins and configurations, LibTorch, and the SDK for plugin authors.
# Components are packages: see RechostPackages.cmake.

set(RECHOST_PACKAGE_FORMAT "" CACHE STRING
    "Lay out the installed tree for packages of that kind, deb or rpm (packaging/package sets it); empty: for an installation by hand")
if(RECHOST_PACKAGE_FORMAT STREQUAL "deb")
    set(CMAKE_INSTALL_LIBDIR lib/${CMAKE_LIBRARY_ARCHITECTURE})
    set(RECHOST_INSTALL_ZSHDIR share/zsh/vendor-completions)
    set(RECHOST_DEVELOPMENT_PACKAGE rechost-dev)
elseif(RECHOST_PACKAGE_FORMAT STREQUAL "rpm")
    set(CMAKE_INSTALL_LIBDIR lib64)
    set(RECHOST_INSTALL_ZSHDIR share/zsh/site-functions)
    set(RECHOST_DEVELOPMENT_PACKAGE rechost-devel)
elseif(RECHOST_PACKAGE_FORMAT STREQUAL "")
    set(RECHOST_INSTALL_ZSHDIR share/zsh/site-functions)
    set(RECHOST_DEVELOPMENT_PACKAGE rechost-dev)
else()
    message(FATAL_ERROR "RECHOST_PACKAGE_FORMAT is '${RECHOST_PACKAGE_FORMAT}'; there are deb and rpm.")
endif()
# Everything that is loaded at run time lies in one private folder, and finds what it needs by paths relative to itself. The program looks
# in lib, lib64 and the multiarch folder beside its own.
set(RECHOST_INSTALL_PRIVATEDIR ${CMAKE_INSTALL_LIBDIR}/rechost)

find_package(Python3 REQUIRED COMPONENTS Interpreter)

# The build tree has the same shape, by links into the sources: `rechost run --plugin dlrm` finds its example config in both.
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/share/rechost)
file(CREATE_LINK ${PROJECT_SOURCE_DIR}/configs ${PROJECT_BINARY_DIR}/share/rechost/configs SYMBOLIC)
file(CREATE_LINK ${PROJECT_SOURCE_DIR}/sdk/template ${PROJECT_BINARY_DIR}/share/rechost/template SYMBOLIC)
file(CREATE_LINK ${PROJECT_SOURCE_DIR}/packaging/launch ${PROJECT_BINARY_DIR}/share/rechost/launch SYMBOLIC)

# The libraries that distributions with rpm do not have, or not in the version that Debian 12 has: their packages bring them along.
# What these packages may take from the distribution is listed in tests/packaging/rpm_requirements.py.
set(RECHOST_BUNDLED_LIBRARIES "lib(boost_[a-z_]+|fmt|tomlplusplus|bz2)[.]so[.].*")

# rechost: the program
install(TARGETS rechost RUNTIME_DEPENDENCY_SET rechost_needs RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT rechost)
if(RECHOST_PACKAGE_FORMAT STREQUAL "rpm")
    set_target_properties(rechost PROPERTIES INSTALL_RPATH "$ORIGIN/../${RECHOST_INSTALL_PRIVATEDIR}")
    include(RechostUnversionedLibrary)
    rechost_link_without_versions(rechost curl)
    install(RUNTIME_DEPENDENCY_SET rechost_needs
            PRE_INCLUDE_REGEXES "${RECHOST_BUNDLED_LIBRARIES}" PRE_EXCLUDE_REGEXES ".*"
            LIBRARY DESTINATION ${RECHOST_INSTALL_PRIVATEDIR} COMPONENT rechost)
    install(CODE "execute_process(COMMAND_ERROR_IS_FATAL ANY COMMAND \"${Python3_EXECUTABLE}\"
        \"${PROJECT_SOURCE_DIR}/packaging/lib/bundled_licenses.py\" \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${RECHOST_INSTALL_PRIVATEDIR}\"
        \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/share/licenses/rechost\")" COMPONENT rechost)
endif()
# Modules that the program opens when they are wanted: what they need is not asked of everybody.
set(modules "")
foreach(module IN ITEMS rechost_cuda rechost_nccl)
    if(NOT TARGET ${module})
        continue()
    endif()
    list(APPEND modules ${module})
    install(TARGETS ${module} RUNTIME_DEPENDENCY_SET rechost_needs LIBRARY DESTINATION ${RECHOST_INSTALL_PRIVATEDIR} COMPONENT rechost)
    if(RECHOST_PACKAGE_FORMAT STREQUAL "rpm")
        # DT_RPATH, which serves what a module's libraries need as well: those that come along have no path of their own.
        set_target_properties(${module} PROPERTIES INSTALL_RPATH "$ORIGIN")
        target_link_options(${module} PRIVATE LINKER:--disable-new-dtags)
    endif()
endforeach()
set(documents ${PROJECT_BINARY_DIR}/share/rechost/documents)
add_custom_command(
    OUTPUT ${documents}/rechost.1.gz ${documents}/rechost.bash ${documents}/_rechost
    COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/packaging/lib/command_documents.py $<TARGET_FILE:rechost> ${documents} ${PROJECT_VERSION}
    DEPENDS rechost ${PROJECT_SOURCE_DIR}/packaging/lib/command_documents.py
    COMMENT "Writing the manual page and the completions"
    VERBATIM)
add_custom_target(command_documents ALL DEPENDS ${documents}/rechost.1.gz)
install(FILES ${documents}/rechost.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT rechost)
install(FILES ${documents}/rechost.bash DESTINATION share/bash-completion/completions RENAME rechost COMPONENT rechost)
install(FILES ${documents}/_rechost DESTINATION ${RECHOST_INSTALL_ZSHDIR} COMPONENT rechost)
# What starts it on many machines: scripts and manifests of which users take a copy.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/packaging/launch DESTINATION ${CMAKE_INSTALL_DATADIR}/rechost COMPONENT rechost
        USE_SOURCE_PERMISSIONS PATTERN "__pycache__" EXCLUDE)

# rechost-models: models, loaders and their example configurations
get_property(plugins GLOBAL PROPERTY RECHOST_PLUGINS)
foreach(plugin IN LISTS plugins)
    install(TARGETS plugin_${plugin} LIBRARY DESTINATION ${RECHOST_INSTALL_PRIVATEDIR}/plugins COMPONENT models)
endforeach()
# Of Arrow only the two libraries that the loader "parquet" and the module that writes such files load, 62 MB, in the folder where these look.
if(RECHOST_PARQUET)
    find_package(Parquet REQUIRED)
    list(APPEND modules rechost_parquet)
    install(TARGETS rechost_parquet LIBRARY DESTINATION ${RECHOST_INSTALL_PRIVATEDIR} COMPONENT models)
    install(FILES ${Parquet_LIBRARY} ${Parquet_ARROW_LIBRARY} DESTINATION ${RECHOST_INSTALL_PRIVATEDIR}/arrow COMPONENT models)
    set(destination share/licenses/rechost-models)
    if(RECHOST_PACKAGE_FORMAT STREQUAL "deb")
        set(destination share/doc/rechost-models)
    endif()
    install(DIRECTORY ${RECHOST_ARROW_ROOT}/ DESTINATION ${destination} COMPONENT models
            FILES_MATCHING REGEX "dist-info/.*(LICENSE|NOTICE)[.]txt$" PATTERN "pyarrow" EXCLUDE)
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/configs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/rechost/configs
        COMPONENT models FILES_MATCHING PATTERN "*.toml")

# rechost-dev: the SDK
install(TARGETS rechost_sdk EXPORT rechost COMPONENT dev)
install(EXPORT rechost NAMESPACE rechost:: FILE rechost-targets.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/rechost COMPONENT dev)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/sdk/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/sdk/template DESTINATION ${CMAKE_INSTALL_DATADIR}/rechost COMPONENT dev)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/sdk/docs/ DESTINATION share/doc/${RECHOST_DEVELOPMENT_PACKAGE} COMPONENT dev)
install(FILES
        ${PROJECT_SOURCE_DIR}/sdk/cmake/RechostPlugin.cmake
        ${PROJECT_SOURCE_DIR}/sdk/cmake/FindLibTorch.cmake
        ${PROJECT_SOURCE_DIR}/sdk/cmake/plugin.map
        ${PROJECT_SOURCE_DIR}/sdk/cmake/rechost-config.cmake
        ${PROJECT_BINARY_DIR}/lib/cmake/rechost/rechost-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/rechost COMPONENT dev)

# rechost-libtorch and its headers: they change once a year, the rest with every release. The site-packages layout stays, because its
# libraries find each other through it.
if(RECHOST_TORCH)
    find_package(LibTorch REQUIRED)
    set(libtorch_destination ${RECHOST_INSTALL_PRIVATEDIR}/libtorch)
    install(DIRECTORY ${RECHOST_LIBTORCH_ROOT}/torch/lib DESTINATION ${libtorch_destination}/torch COMPONENT libtorch
            FILES_MATCHING PATTERN "libc10.so" PATTERN "libtorch_cpu.so" PATTERN "libgomp.so.1")
    install(DIRECTORY ${RECHOST_LIBTORCH_ROOT}/nvidia/cu13/lib DESTINATION ${libtorch_destination}/nvidia/cu13 COMPONENT libtorch
            FILES_MATCHING PATTERN "libcudart.so.13" PATTERN "libcupti.so.13")
    # What the program reads to know which LibTorch it has before it; torch's own archives for C++ have this file too.
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/libtorch-build-version CONTENT "@LibTorch_VERSION@\n" @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/libtorch-build-version RENAME build-version
            DESTINATION ${libtorch_destination}/torch COMPONENT libtorch)
    install(DIRECTORY ${RECHOST_LIBTORCH_ROOT}/torch/include DESTINATION ${libtorch_destination}/torch COMPONENT libtorch_dev)
endif()

# Each package says whose work is in it.
function(rechost_install_package_documents component package copyright version)
    if(RECHOST_PACKAGE_FORMAT STREQUAL "deb")
        install(FILES ${PROJECT_SOURCE_DIR}/packaging/deb/${copyright} RENAME copyright DESTINATION share/doc/${package} COMPONENT ${component})
        set(overrides ${PROJECT_SOURCE_DIR}/packaging/deb/${package}.lintian-overrides)
        if(EXISTS ${overrides})
            install(FILES ${overrides} RENAME ${package} DESTINATION share/lintian/overrides COMPONENT ${component})
        endif()
        # Written while packing, because its date is that of the package.
        install(CODE "execute_process(COMMAND_ERROR_IS_FATAL ANY COMMAND \"${Python3_EXECUTABLE}\"
            \"${PROJECT_SOURCE_DIR}/packaging/lib/debian_changelog.py\" \"${PROJECT_SOURCE_DIR}/CHANGELOG.md\" ${package} ${version}
            \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/share/doc/${package}/changelog.Debian.gz\")" COMPONENT ${component})
    else()
        install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION share/licenses/${package} COMPONENT ${component})
    endif()
endfunction()

rechost_install_package_documents(rechost rechost copyright ${PROJECT_VERSION})
rechost_install_package_documents(models rechost-models copyright ${PROJECT_VERSION})
rechost_install_package_documents(dev ${RECHOST_DEVELOPMENT_PACKAGE} copyright ${PROJECT_VERSION})
if(RECHOST_TORCH)
    string(REPLACE "rechost-" "rechost-libtorch-" libtorch_development_package ${RECHOST_DEVELOPMENT_PACKAGE})
    foreach(component IN ITEMS libtorch libtorch_dev)
        set(package rechost-libtorch)
        if(component STREQUAL "libtorch_dev")
            set(package ${libtorch_development_package})
        endif()
        if(RECHOST_PACKAGE_FORMAT STREQUAL "deb")
            rechost_install_package_documents(${component} ${package} copyright.libtorch ${LibTorch_VERSION})
            set(destination share/doc/${package})
        else()
            set(destination share/licenses/${package})
        endif()
        install(DIRECTORY ${RECHOST_LIBTORCH_ROOT}/ DESTINATION ${destination} COMPONENT ${component}
                FILES_MATCHING REGEX "dist-info/.*(LICENSE|NOTICE|License\\.txt)$"
                PATTERN "torch" EXCLUDE PATTERN "nvidia" EXCLUDE)
    endforeach()
endif()

# All that is installed, and nothing else: what packaging/package builds.
add_custom_target(installed)
add_dependencies(installed rechost plugins command_documents ${modules})

# Packages are made of the whole.
if(RECHOST_TORCH)
    include(RechostPackages)
endif()
