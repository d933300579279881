# Run by CPack on the installed trees, before they are packed: what distributions want of files otherwise than compilers leave them.
find_program(objcopy objcopy REQUIRED)
find_program(strip strip REQUIRED)

# Ours: the program, and the plugins and modules directly in the private folder or in plugins/. LibTorch and Arrow
# stay as they came, byte by byte.
file(GLOB_RECURSE ours ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/*/usr/bin/* ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/*/usr/lib*/*.so*)
list(FILTER ours EXCLUDE REGEX "/rechost/(libtorch|arrow)/")
foreach(file IN LISTS ours)
    if(IS_SYMLINK ${file})
        continue()
    endif()
    if(CPACK_GENERATOR STREQUAL "RPM")
        execute_process(COMMAND ${strip} --strip-unneeded --remove-section=.comment ${file} COMMAND_ERROR_IS_FATAL ANY)
    else()
        # CPack strips them itself, having put the symbols aside.
        execute_process(COMMAND ${objcopy} --remove-section=.comment ${file} COMMAND_ERROR_IS_FATAL ANY)
    endif()
endforeach()

# Debian has shared libraries without the executable bit, rpm finds their dependencies by it.
file(GLOB_RECURSE libraries ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/*/usr/lib*/*.so*)
set(permissions OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
if(CPACK_GENERATOR STREQUAL "RPM")
    list(APPEND permissions OWNER_EXECUTE GROUP_EXECUTE WORLD_EXECUTE)
endif()
foreach(file IN LISTS libraries)
    if(NOT IS_SYMLINK ${file})
        file(CHMOD ${file} PERMISSIONS ${permissions})
    endif()
endforeach()

# One time for all files, so that the same sources make the same package.
if(DEFINED ENV{SOURCE_DATE_EPOCH})
    execute_process(COMMAND find ${CPACK_TEMPORARY_INSTALL_DIRECTORY} -newermt @$ENV{SOURCE_DATE_EPOCH}
        -exec touch --no-dereference --date=@$ENV{SOURCE_DATE_EPOCH} {} + COMMAND_ERROR_IS_FATAL ANY)
endif()
