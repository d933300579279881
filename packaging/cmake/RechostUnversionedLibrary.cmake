# rechost_link_without_versions(<target> <library>): Debian gives the symbols of some libraries, such as libcurl, versions that no other
# distribution has; a program linked with them starts elsewhere with a complaint, and its package asks for what nobody offers. The target is
# linked with a stand-in of the same name and symbols, without versions, and then takes any library of that name.
function(rechost_link_without_versions target library)
    find_library(RECHOST_${library}_LIBRARY ${library} REQUIRED)
    find_program(RECHOST_NM nm REQUIRED)
    execute_process(COMMAND ${RECHOST_NM} --dynamic --defined-only --format=posix ${RECHOST_${library}_LIBRARY}
        OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
    find_program(RECHOST_READELF readelf REQUIRED)
    execute_process(COMMAND ${RECHOST_READELF} --dynamic --wide ${RECHOST_${library}_LIBRARY}
        OUTPUT_VARIABLE dynamic COMMAND_ERROR_IS_FATAL ANY)
    if(NOT dynamic MATCHES "Library soname: \\[lib${library}\\.so\\.([0-9]+)\\]")
        message(FATAL_ERROR "${RECHOST_${library}_LIBRARY} has no soname that can be told apart.")
    endif()
    set(soversion ${CMAKE_MATCH_1})
    string(REGEX MATCHALL "[^\n@ ]+(@[^ \n]*)? [TW] " functions "${symbols}")
    set(source "/* Written while configuring: the names in lib${library}. */\n")
    foreach(function IN LISTS functions)
        string(REGEX REPLACE "[@ ].*" "" function "${function}")
        string(APPEND source "void ${function}(void) {}\n")
    endforeach()
    set(file ${PROJECT_BINARY_DIR}/${library}_names.c)
    file(CONFIGURE OUTPUT ${file} CONTENT "${source}" @ONLY)
    add_library(rechost_names_of_${library} SHARED EXCLUDE_FROM_ALL ${file})
    set_target_properties(rechost_names_of_${library} PROPERTIES
        OUTPUT_NAME ${library} SOVERSION ${soversion} C_VISIBILITY_PRESET default LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/names)
    add_dependencies(${target} rechost_names_of_${library})
    # First on the command line and as a file, not as a target: the program must not look for it when it runs.
    target_link_options(${target} PRIVATE
        LINKER:--no-as-needed $<TARGET_FILE:rechost_names_of_${library}> LINKER:--as-needed)
endfunction()
