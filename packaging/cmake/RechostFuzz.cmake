# Programs that libFuzzer drives (preset fuzz; it comes with clang). Run them with packaging/fuzz.

# What plugins link; imported targets are known in the folder alone that looks for them.
foreach(package IN ITEMS ZLIB Zstd BZip2 Brotli XxHash nlohmann_json)
    find_package(${package} REQUIRED)
endforeach()
if(RECHOST_PARQUET)
    find_package(Parquet REQUIRED)
endif()

# rechost_add_fuzzers(<folder>): every <name>.cpp is a program fuzz_<name>; "// plugin: <name>" in its first lines links the sources of that
# dataset plugin into it, in place of the floors of the core.
function(rechost_add_fuzzers folder)
    if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "RECHOST_FUZZ needs clang, which libFuzzer is part of: use preset fuzz.")
    endif()
    add_custom_target(fuzzers)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cpp)
    foreach(source IN LISTS sources)
        get_filename_component(name ${source} NAME_WE)
        add_executable(fuzz_${name} ${source})
        target_link_libraries(fuzz_${name} PRIVATE rechost_options rechost_warnings)
        target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
        target_include_directories(fuzz_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/${folder})
        file(STRINGS ${source} head LIMIT_COUNT 5)
        if("${head}" MATCHES "// plugin: ([a-z]+)")
            file(GLOB plugin_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/plugins/datasets/${CMAKE_MATCH_1}/*.cpp)
            target_sources(fuzz_${name} PRIVATE ${plugin_sources})
            get_target_property(libraries plugin_${CMAKE_MATCH_1} LINK_LIBRARIES)
            # The loaders' host in the tests answers for files as the real one does.
            target_link_libraries(fuzz_${name} PRIVATE ${libraries} rechost_plugin)
        else()
            target_include_directories(fuzz_${name} PRIVATE ${PROJECT_SOURCE_DIR}/core)
            target_link_libraries(fuzz_${name} PRIVATE rechost_data rechost_config rechost_launch rechost_base)
        endif()
        add_dependencies(fuzzers fuzz_${name})
    endforeach()
endfunction()
