# rechost_add_floor(<name> LEVEL <n> [DEPENDS <floor>...] [LIBRARIES <target>...])
#
# Makes the library rechost_<name> from all *.cpp of the calling folder. A floor may include and link lower floors only;
# naming one of its own or a higher level stops the configuration. A folder with headers only becomes an INTERFACE
# library; an empty folder makes no target, and floors that depend on it leave it out.
#
# Sources named *_avx2.cpp and *_avx512.cpp are compiled for those instruction sets; the caller picks at run time.
# main.cpp is left to rechost_add_program.

# The one table of floors: level of every folder in core/. The hygiene test reads it too.
set(RECHOST_FLOOR_LEVELS
    base=0 config=1 device=1 storage=1 kernels=2 comm=2 launch=2 data=2 embedding=3 plugin=3
    train=4 tracking=4 registry=4 retrieval=4 app=5)

function(rechost_floor_level name result)
    foreach(entry IN LISTS RECHOST_FLOOR_LEVELS)
        if(entry MATCHES "^${name}=([0-9]+)$")
            set(${result} ${CMAKE_MATCH_1} PARENT_SCOPE)
            return()
        endif()
    endforeach()
    message(FATAL_ERROR "core/${name} is not in the table of floors (packaging/cmake/RechostFloor.cmake).")
endfunction()

function(rechost_set_instruction_sets)
    foreach(source IN LISTS ARGN)
        if(source MATCHES "_avx2\\.cpp$")
            set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-mf16c")
        elseif(source MATCHES "_avx512\\.cpp$")
            set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
                "-mavx2;-mfma;-mf16c;-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl")
        endif()
    endforeach()
endfunction()

function(rechost_add_floor name)
    cmake_parse_arguments(PARSE_ARGV 1 floor "" "LEVEL" "DEPENDS;LIBRARIES")
    if(floor_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "rechost_add_floor(${name}): unknown arguments ${floor_UNPARSED_ARGUMENTS}")
    endif()
    rechost_floor_level(${name} listed_level)
    if(NOT "${floor_LEVEL}" STREQUAL "${listed_level}")
        message(FATAL_ERROR "core/${name} says level ${floor_LEVEL}, the table of floors says ${listed_level}.")
    endif()
    foreach(dependency IN LISTS floor_DEPENDS)
        rechost_floor_level(${dependency} dependency_level)
        if(NOT dependency_level LESS floor_LEVEL)
            message(FATAL_ERROR "core/${name} (level ${floor_LEVEL}) must not depend on core/${dependency} "
                                "(level ${dependency_level}): a floor looks down, never sideways or up.")
        endif()
    endforeach()

    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
    file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.h)
    list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
    if(NOT sources AND NOT headers)
        return()
    endif()

    set(target rechost_${name})
    if(sources)
        add_library(${target} STATIC ${sources} ${headers})
        rechost_set_instruction_sets(${sources})
        target_link_libraries(${target} PRIVATE rechost_options rechost_warnings)
        set(scope PUBLIC)
    else()
        add_library(${target} INTERFACE)
        set(scope INTERFACE)
    endif()
    target_include_directories(${target} ${scope} ${PROJECT_SOURCE_DIR}/core)
    target_link_libraries(${target} ${scope} ${floor_LIBRARIES})
    foreach(dependency IN LISTS floor_DEPENDS)
        # Lower floors are configured first, so a missing target means an empty folder.
        if(TARGET rechost_${dependency})
            target_link_libraries(${target} ${scope} rechost_${dependency})
        endif()
    endforeach()
    set_property(GLOBAL APPEND PROPERTY RECHOST_FLOORS ${name})
endfunction()

# rechost_add_program(<name> SOURCE <main.cpp> FLOORS <floor>...): an executable over the floors that exist.
function(rechost_add_program name)
    cmake_parse_arguments(PARSE_ARGV 1 program "" "SOURCE" "FLOORS;LIBRARIES")
    add_executable(${name} ${program_SOURCE})
    target_link_libraries(${name} PRIVATE rechost_options rechost_warnings ${program_LIBRARIES})
    foreach(floor IN LISTS program_FLOORS)
        if(TARGET rechost_${floor})
            target_link_libraries(${name} PRIVATE rechost_${floor})
        endif()
    endforeach()
endfunction()
