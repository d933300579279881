# rechost_add_plugin(<name>
#     SOURCES <file>...
#     MODULES <model|dataset>:<id>...
#     [TORCH]                       the plugin uses LibTorch (rechost/cxx/torch_model.hpp)
#     [VERSION <x.y.z>]             default: the version of the calling project
#     [SDK_MINOR <n>]               lowest SDK minor that the plugin needs; default 0
#     [INCLUDE_DIRECTORIES <dir>...] [LIBRARIES <target>...])
#
# Builds <name>.so, a plugin for `rechost run --plugin ./<name>.so`. Works the same in rechost's own tree and in a
# project of yours after find_package(rechost).
#
# The file carries an ELF note, section .note.rechost, that says which SDK it needs and what is inside, so that the host
# can refuse a wrong one before any code of it runs. Look at it with `readelf -n` or `rechost plugins inspect`.

set(RECHOST_SDK_MAJOR 1)
set(RECHOST_PLUGIN_CMAKE_DIRECTORY ${CMAKE_CURRENT_LIST_DIR})

# Writes a source file whose object holds the note: owner "rechost", type 1, descriptor = UTF-8 JSON.
function(rechost_write_note path json)
    string(HEX "${json}" hex)
    string(LENGTH "${hex}" size)
    math(EXPR size "${size} / 2")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(REGEX REPLACE ",$" "" bytes "${bytes}")
    # Numbers instead of a string, so that no character of the JSON needs escaping twice.
    set(content "/* Written by rechost_add_plugin: ${json} */
__asm__(
    \".pushsection .note.rechost,\\\"a\\\",@note\\n\"
    \".balign 4\\n\"
    \".long 8\\n\"
    \".long ${size}\\n\"
    \".long 1\\n\"
    \".asciz \\\"rechost\\\"\\n\"
    \".byte ${bytes}\\n\"
    \".balign 4\\n\"
    \".popsection\\n\");
")
    file(CONFIGURE OUTPUT ${path} CONTENT "${content}" @ONLY)
endfunction()

function(rechost_plugin_json result name version minor torch)
    set(modules "")
    foreach(module IN LISTS ARGN)
        if(NOT module MATCHES "^(model|dataset):([a-z0-9_.-]+)$")
            message(FATAL_ERROR "rechost_add_plugin(${name}): MODULES entry '${module}' is not model:<id> or dataset:<id> "
                                "(an id has lower-case letters, digits, '_', '-' and '.').")
        endif()
        list(APPEND modules "{\"kind\":\"${CMAKE_MATCH_1}\",\"id\":\"${CMAKE_MATCH_2}\"}")
    endforeach()
    list(JOIN modules "," modules)
    set(torch_part "")
    if(torch)
        set(torch_part ",\"torch\":{\"version\":\"${LibTorch_VERSION}\",\"cuda\":\"${LibTorch_CUDA_VERSION}\"}")
    endif()
    set(${result} "{\"sdk_major\":${RECHOST_SDK_MAJOR},\"sdk_minor_needed\":${minor},\"name\":\"${name}\",\"version\":\"${version}\",\"modules\":[${modules}]${torch_part}}" PARENT_SCOPE)
endfunction()

function(rechost_add_plugin name)
    cmake_parse_arguments(PARSE_ARGV 1 plugin "TORCH" "VERSION;SDK_MINOR;OUTPUT_DIRECTORY;NOTE"
        "SOURCES;MODULES;LIBRARIES;INCLUDE_DIRECTORIES")
    if(plugin_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "rechost_add_plugin(${name}): unknown arguments ${plugin_UNPARSED_ARGUMENTS}")
    endif()
    if(NOT plugin_SOURCES OR NOT (plugin_MODULES OR plugin_NOTE))
        message(FATAL_ERROR "rechost_add_plugin(${name}): SOURCES and MODULES are both needed.")
    endif()
    if(NOT plugin_VERSION)
        set(plugin_VERSION ${PROJECT_VERSION})
    endif()
    if(NOT plugin_VERSION)
        set(plugin_VERSION 0.0.0)
    endif()
    if(NOT DEFINED plugin_SDK_MINOR)
        set(plugin_SDK_MINOR 0)
    endif()
    if(plugin_TORCH)
        find_package(LibTorch REQUIRED)
    endif()

    if(plugin_NOTE)
        set(json "${plugin_NOTE}")
    else()
        rechost_plugin_json(json ${name} ${plugin_VERSION} ${plugin_SDK_MINOR} ${plugin_TORCH} ${plugin_MODULES})
    endif()
    set(note "")
    if(NOT json STREQUAL "none")
        get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
        if(CXX IN_LIST languages)
            set(note ${CMAKE_CURRENT_BINARY_DIR}/${name}_note.cpp)
        else()
            set(note ${CMAKE_CURRENT_BINARY_DIR}/${name}_note.c)
        endif()
        rechost_write_note(${note} "${json}")
    endif()

    # Inside rechost's own build the target has a prefix: a plugin may be called like a floor or like the program.
    if(TARGET rechost_options)
        set(target plugin_${name})
    else()
        set(target ${name})
    endif()
    add_library(${target} MODULE ${plugin_SOURCES} ${note})
    if(note)
        # The note never needs the precompiled header of a torch plugin.
        set_source_files_properties(${note} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
    endif()
    set_target_properties(${target} PROPERTIES
        PREFIX "" OUTPUT_NAME ${name}
        C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
        POSITION_INDEPENDENT_CODE ON
        # Otherwise every plugin would be compiled with a macro of its own and none could share a precompiled header.
        DEFINE_SYMBOL "")
    target_compile_features(${target} PRIVATE cxx_std_20)
    target_include_directories(${target} PRIVATE ${plugin_INCLUDE_DIRECTORIES})
    target_link_libraries(${target} PRIVATE rechost::sdk ${plugin_LIBRARIES})
    target_link_options(${target} PRIVATE
        # A missing symbol is an error of the build, not of the user's first step.
        LINKER:--no-undefined
        LINKER:-z,relro LINKER:-z,now
        LINKER:--version-script=${RECHOST_PLUGIN_CMAKE_DIRECTORY}/plugin.map)
    set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${RECHOST_PLUGIN_CMAKE_DIRECTORY}/plugin.map)
    if(TARGET rechost_options)
        target_link_libraries(${target} PRIVATE rechost_options rechost_warnings)
        if(NOT plugin_OUTPUT_DIRECTORY)
            set(plugin_OUTPUT_DIRECTORY ${RECHOST_PLUGIN_OUTPUT_DIRECTORY})
        endif()
    endif()
    if(plugin_OUTPUT_DIRECTORY)
        set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${plugin_OUTPUT_DIRECTORY})
    endif()

    if(plugin_TORCH)
        target_link_libraries(${target} PRIVATE rechost::torch)
        # DT_RPATH instead of DT_RUNPATH: a torch of another version on LD_LIBRARY_PATH (a Python environment sets that)
        # must not replace the one that this plugin was compiled against. LibTorch's own libraries do the same.
        target_link_options(${target} PRIVATE LINKER:--disable-new-dtags)
        # The plugin folder has LibTorch beside it, in a build tree as in an installed one: one path serves both, nothing is
        # rewritten when installing, and no path of the building machine is left in the file.
        set(rpath "$ORIGIN/../libtorch/torch/lib")
        if(TARGET rechost_options)
            file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/lib/rechost)
            file(CREATE_LINK ${RECHOST_LIBTORCH_ROOT} ${PROJECT_BINARY_DIR}/lib/rechost/libtorch SYMBOLIC)
            if(CMAKE_CXX_FLAGS_RELEASE MATCHES "-ffile-prefix-map=")
                # The messages in LibTorch's headers name their files: in what users get, not by a folder of the building machine.
                target_compile_options(${target} PRIVATE -ffile-prefix-map=${RECHOST_LIBTORCH_ROOT}=libtorch)
            endif()
        else()
            # A plugin of yours may lie anywhere.
            list(APPEND rpath ${LibTorch_LIBRARY_DIR})
        endif()
        set_target_properties(${target} PROPERTIES INSTALL_RPATH "${rpath}" BUILD_WITH_INSTALL_RPATH ON)
        if(CMAKE_GENERATOR MATCHES "Ninja")
            # One torch translation unit takes up to 1.6 GB; more of them at a time than memory holds would swap.
            get_property(pools GLOBAL PROPERTY JOB_POOLS)
            if(NOT "${pools}" MATCHES "rechost_torch=")
                cmake_host_system_information(RESULT memory_mb QUERY TOTAL_PHYSICAL_MEMORY)
                math(EXPR depth "${memory_mb} / 2000")
                if(depth LESS 1)
                    set(depth 1)
                endif()
                set_property(GLOBAL APPEND PROPERTY JOB_POOLS rechost_torch=${depth})
            endif()
            set_target_properties(${target} PROPERTIES JOB_POOL_COMPILE rechost_torch)
        endif()
    endif()
endfunction()
