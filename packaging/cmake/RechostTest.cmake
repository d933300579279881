# Functions for tests/CMakeLists.txt; the layout that they serve is described there.

set(RECHOST_TEST_LABELS real multiprocess quality packaging gpu peers)
set(RECHOST_TEST_PLUGIN_DIRECTORY ${PROJECT_BINARY_DIR}/lib/rechost/test-plugins)

# What every test finds in its environment. RECHOST_DATA_DIR is passed on from the caller's environment when ctest runs.
set(RECHOST_TEST_ENVIRONMENT
    RECHOST_BIN=${PROJECT_BINARY_DIR}/bin/rechost
    RECHOST_SOURCE_DIR=${PROJECT_SOURCE_DIR}
    RECHOST_BUILD_DIR=${PROJECT_BINARY_DIR}
    RECHOST_TEST_PLUGIN_DIR=${RECHOST_TEST_PLUGIN_DIRECTORY}
    ASAN_OPTIONS=detect_leaks=1:abort_on_error=0
    UBSAN_OPTIONS=print_stacktrace=1
    # Suites that start several processes would otherwise each take all cores for LibTorch.
    OMP_NUM_THREADS=1
    PYTHONDONTWRITEBYTECODE=1)

# rechost_add_test_folder(<target> <folder> LIBRARIES <target>...): one Catch2 program of all *.cpp in the folder.
function(rechost_add_test_folder target folder)
    cmake_parse_arguments(PARSE_ARGV 2 test "" "" "LIBRARIES")
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cpp)
    if(NOT sources)
        return()
    endif()
    # Catch2WithMain holds main() already compiled: our part of every test program is the tests alone.
    add_executable(${target} ${sources})
    target_link_libraries(${target} PRIVATE ${test_LIBRARIES} Catch2::Catch2WithMain rechost_options rechost_warnings)
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/core ${CMAKE_CURRENT_SOURCE_DIR})
    # A failed check in a test is reported by Catch2; the assertions of the code under test stay on in every preset.
    target_compile_options(${target} PRIVATE -UNDEBUG)
    if(TARGET rechost_test_plugins)
        add_dependencies(${target} rechost_test_plugins)
    endif()
    add_dependencies(${target} rechost_cuda_emulated)

    string(REGEX REPLACE "^test_" "" prefix ${target})
    set(tests_file ${CMAKE_CURRENT_BINARY_DIR}/${target}_tests.cmake)
    add_custom_command(TARGET ${target} POST_BUILD
        BYPRODUCTS ${tests_file}
        COMMAND ${CMAKE_COMMAND}
            -D "program=$<TARGET_FILE:${target}>" -D "prefix=${prefix}" -D "labels=${RECHOST_TEST_LABELS}"
            -D "environment=${RECHOST_TEST_ENVIRONMENT}" -D "output=${tests_file}"
            -P ${PROJECT_SOURCE_DIR}/packaging/cmake/RechostDiscoverTests.cmake
        VERBATIM)
    # A program that was not built is one failing test, never none.
    set(include_file ${CMAKE_CURRENT_BINARY_DIR}/${target}_include.cmake)
    file(CONFIGURE OUTPUT ${include_file} @ONLY CONTENT
"if(EXISTS \"@tests_file@\")
    include(\"@tests_file@\")
else()
    add_test(\"@prefix@: not built\" \"@target@-not-built\")
endif()
")
    set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${include_file})
endfunction()

# rechost_add_test_plugins(<folder>): every C or C++ file becomes a plugin of its own. The first lines may hold
#   note: {...}     the JSON of the note, word for word (for plugins that lie)
#   note: none      no note at all
# Without such a line the plugin has the note of a well-behaved model named like the file.
function(rechost_add_test_plugins folder)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.c ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cpp)
    if(NOT sources)
        return()
    endif()
    add_custom_target(rechost_test_plugins ALL)
    foreach(source IN LISTS sources)
        get_filename_component(name ${source} NAME_WE)
        # The note is made at configure time, so a changed first line has to configure again.
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
        file(STRINGS ${source} note LIMIT_COUNT 1 REGEX "note: ")
        set(arguments MODULES model:${name})
        if(note MATCHES "note: (none|{.*})")
            set(arguments NOTE "${CMAKE_MATCH_1}")
        endif()
        rechost_add_plugin(${name} SOURCES ${source} ${arguments}
            OUTPUT_DIRECTORY ${RECHOST_TEST_PLUGIN_DIRECTORY})
        add_dependencies(rechost_test_plugins plugin_${name})
    endforeach()
endfunction()

# rechost_add_emulated_gpu(<folder>): rechost_cuda_emulated.so, the sources of the CUDA module compiled as C++, with the folder's sources in
# place of CUDA's runtime. With it the tests run all of the GPU's code but CUDA itself, on every machine.
function(rechost_add_emulated_gpu folder)
    set(kernels ${RECHOST_CUDA_SOURCES})
    list(FILTER kernels EXCLUDE REGEX "/cuda_runtime\\.cu$")
    set_source_files_properties(${kernels} PROPERTIES LANGUAGE CXX)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cpp)
    add_library(rechost_cuda_emulated MODULE ${kernels} ${sources})
    set_target_properties(rechost_cuda_emulated PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${RECHOST_CUDA_OUTPUT_DIRECTORY})
    target_include_directories(rechost_cuda_emulated PRIVATE ${PROJECT_SOURCE_DIR}/core)
    target_link_libraries(rechost_cuda_emulated PRIVATE rechost_options rechost_warnings)
    target_link_options(rechost_cuda_emulated PRIVATE LINKER:--no-undefined)
endfunction()

# rechost_list_folders(<result> <folder>): names of the folders in it. New ones are noticed by the next build.
function(rechost_list_folders result folder)
    file(GLOB entries CONFIGURE_DEPENDS LIST_DIRECTORIES true ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*)
    set(folders "")
    foreach(entry IN LISTS entries)
        if(IS_DIRECTORY ${entry})
            get_filename_component(name ${entry} NAME)
            list(APPEND folders ${name})
        endif()
    endforeach()
    set(${result} ${folders} PARENT_SCOPE)
endfunction()

# rechost_add_script_tests(): test_*.py in any folder of tests/, run with python3, standard library only.
function(rechost_add_script_tests)
    file(GLOB scripts CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*/test_*.py ${CMAKE_CURRENT_SOURCE_DIR}/*/*/test_*.py)
    foreach(script IN LISTS scripts)
        file(RELATIVE_PATH name ${CMAKE_CURRENT_SOURCE_DIR} ${script})
        string(REGEX REPLACE "^(.*)/test_(.*)\\.py$" "\\1: \\2" test ${name})
        add_test(NAME "${test}" COMMAND ${Python3_EXECUTABLE} ${script} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
        set_tests_properties("${test}" PROPERTIES ENVIRONMENT "${RECHOST_TEST_ENVIRONMENT}" TIMEOUT 600)
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${script})
        file(STRINGS ${script} head LIMIT_COUNT 5)
        if("${head}" MATCHES "# label: ([a-z]+)")
            if(NOT CMAKE_MATCH_1 IN_LIST RECHOST_TEST_LABELS)
                message(FATAL_ERROR "${script}: '${CMAKE_MATCH_1}' is no test label; there are ${RECHOST_TEST_LABELS}.")
            endif()
            set_tests_properties("${test}" PROPERTIES LABELS ${CMAKE_MATCH_1} TIMEOUT 2400)
        endif()
        if("${head}" MATCHES "# serial")
            set_tests_properties("${test}" PROPERTIES RUN_SERIAL ON)
        endif()
    endforeach()
endfunction()

# rechost_add_benches(<folder>): every <name>.cpp is a program bench_<name> over all floors.
function(rechost_add_benches folder)
    get_property(floors GLOBAL PROPERTY RECHOST_FLOORS)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cpp)
    foreach(source IN LISTS sources)
        get_filename_component(name ${source} NAME_WE)
        rechost_add_program(bench_${name} SOURCE ${source} FLOORS ${floors})
        target_include_directories(bench_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    endforeach()
endfunction()
