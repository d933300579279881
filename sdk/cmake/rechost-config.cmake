# find_package(rechost): the target rechost::sdk and the function rechost_add_plugin.
#
# The same file serves an installed SDK (lib/cmake/rechost), a build tree, which includes it, and a source checkout
# (-Drechost_DIR=<checkout>/sdk/cmake).
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})

if(EXISTS ${CMAKE_CURRENT_LIST_DIR}/rechost-targets.cmake)
    include(${CMAKE_CURRENT_LIST_DIR}/rechost-targets.cmake)
    get_filename_component(RECHOST_INSTALLED_LIBTORCH ${CMAKE_CURRENT_LIST_DIR}/../../rechost/libtorch ABSOLUTE)
elseif(NOT TARGET rechost::sdk)
    add_library(rechost::sdk INTERFACE IMPORTED)
    get_filename_component(rechost_include ${CMAKE_CURRENT_LIST_DIR}/../include ABSOLUTE)
    set_target_properties(rechost::sdk PROPERTIES INTERFACE_INCLUDE_DIRECTORIES ${rechost_include})
endif()

include(${CMAKE_CURRENT_LIST_DIR}/RechostPlugin.cmake)
