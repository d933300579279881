# The installed tree: bin/rechost, lib/rechost/plugins, share/rechost/configs, and the SDK for plugin authors.

# The build tree has the same shape, by links into the sources: `rechost run --plugin dlrm` finds its example config in both.
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/share/rechost)
file(CREATE_LINK ${PROJECT_SOURCE_DIR}/configs ${PROJECT_BINARY_DIR}/share/rechost/configs SYMBOLIC)
file(CREATE_LINK ${PROJECT_SOURCE_DIR}/sdk/template ${PROJECT_BINARY_DIR}/share/rechost/template SYMBOLIC)

if(TARGET rechost)
    install(TARGETS rechost RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT rechost)
endif()
if(TARGET rechost_cuda)
    install(TARGETS rechost_cuda LIBRARY DESTINATION lib/rechost COMPONENT rechost)
endif()
get_property(plugins GLOBAL PROPERTY RECHOST_PLUGINS)
foreach(plugin IN LISTS plugins)
    # lib, not the multiarch folder: the program looks at ../lib/rechost/plugins beside itself in both trees.
    install(TARGETS plugin_${plugin} LIBRARY DESTINATION lib/rechost/plugins COMPONENT plugins)
endforeach()
# Of Arrow only the two libraries that the loader "parquet" loads, 62 MB, in the folder where it looks for them.
if(RECHOST_PARQUET)
    find_package(Parquet REQUIRED)
    install(FILES ${Parquet_LIBRARY} ${Parquet_ARROW_LIBRARY} DESTINATION lib/rechost/arrow COMPONENT plugins)
    install(DIRECTORY ${RECHOST_ARROW_ROOT}/ DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/rechost-plugins COMPONENT plugins
            FILES_MATCHING REGEX "dist-info/.*(LICENSE|NOTICE)[.]txt$" PATTERN "pyarrow" EXCLUDE)
endif()
if(EXISTS ${PROJECT_SOURCE_DIR}/configs)
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/configs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/rechost/configs
            COMPONENT rechost FILES_MATCHING PATTERN "*.toml")
endif()
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/rechost COMPONENT rechost)

install(TARGETS rechost_sdk EXPORT rechost COMPONENT sdk)
install(EXPORT rechost NAMESPACE rechost:: FILE rechost-targets.cmake DESTINATION lib/cmake/rechost COMPONENT sdk)
if(EXISTS ${PROJECT_SOURCE_DIR}/sdk/include)
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/sdk/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT sdk)
endif()
if(EXISTS ${PROJECT_SOURCE_DIR}/sdk/template)
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/sdk/template DESTINATION ${CMAKE_INSTALL_DATADIR}/rechost COMPONENT sdk)
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/sdk/docs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/rechost/sdk COMPONENT sdk)
install(FILES
        ${PROJECT_SOURCE_DIR}/sdk/cmake/RechostPlugin.cmake
        ${PROJECT_SOURCE_DIR}/sdk/cmake/FindLibTorch.cmake
        ${PROJECT_SOURCE_DIR}/sdk/cmake/plugin.map
        ${PROJECT_SOURCE_DIR}/sdk/cmake/rechost-config.cmake
        DESTINATION lib/cmake/rechost COMPONENT sdk)
install(FILES ${PROJECT_BINARY_DIR}/lib/cmake/rechost/rechost-config-version.cmake
        DESTINATION lib/cmake/rechost COMPONENT sdk)

# LibTorch in a package of its own: it changes once a year, the rest with every release. The site-packages layout stays,
# because its libraries find each other through it.
if(TARGET rechost::torch)
    install(DIRECTORY ${RECHOST_LIBTORCH_ROOT}/torch/lib DESTINATION lib/rechost/libtorch/torch COMPONENT libtorch
            FILES_MATCHING PATTERN "libc10.so" PATTERN "libtorch_cpu.so" PATTERN "libgomp.so.1")
    install(DIRECTORY ${RECHOST_LIBTORCH_ROOT}/nvidia/cu13/lib DESTINATION lib/rechost/libtorch/nvidia/cu13 COMPONENT libtorch
            FILES_MATCHING PATTERN "libcudart.so.13" PATTERN "libcupti.so.13")
    install(DIRECTORY ${RECHOST_LIBTORCH_ROOT}/ DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/rechost-libtorch COMPONENT libtorch
            FILES_MATCHING REGEX "dist-info/.*(LICENSE|NOTICE|License\\.txt)$"
            PATTERN "torch" EXCLUDE PATTERN "nvidia" EXCLUDE)
    install(DIRECTORY ${RECHOST_LIBTORCH_ROOT}/torch/include DESTINATION lib/rechost/libtorch/torch COMPONENT sdk)
endif()

include(RechostPackages)
