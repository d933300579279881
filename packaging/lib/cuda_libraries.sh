# Sourced: the CUDA libraries that torch 2.11.0 loads, for the scripts that make a whole torch. A toolkit on this machine supplies what it has.
# shellcheck shell=bash

# soname, wheel that has it. The versions are those that torch 2.11.0 names.
cuda_toolkit_wheel="cuda-toolkit[cublas,cudart,cufft,cupti,curand,cusolver,cusparse,nvjitlink,nvrtc]==13.0.2"
cuda_libraries="
libcudart.so.13 $cuda_toolkit_wheel
libcupti.so.13 $cuda_toolkit_wheel
libcublas.so.13 $cuda_toolkit_wheel
libcublasLt.so.13 $cuda_toolkit_wheel
libcufft.so.12 $cuda_toolkit_wheel
libcurand.so.10 $cuda_toolkit_wheel
libcusolver.so.12 $cuda_toolkit_wheel
libcusparse.so.12 $cuda_toolkit_wheel
libnvJitLink.so.13 $cuda_toolkit_wheel
libnvrtc.so.13 $cuda_toolkit_wheel
libcufile.so.0 nvidia-cufile==1.15.1.6
libcudnn.so.9 nvidia-cudnn-cu13==9.19.0.56
libnccl.so.2 nvidia-nccl-cu13==2.28.9
libcusparseLt.so.0 nvidia-cusparselt-cu13==0.8.0
libnvshmem_host.so.3 nvidia-nvshmem-cu13==3.4.5"
cuda_toolkit=${CUDA_HOME:-/usr/local/cuda}/lib64

# add_cuda_libraries <site-packages folder> <command>...: links what the toolkit has, and calls `command <pip arguments>` for the rest.
add_cuda_libraries() {
    local folder=$1/nvidia/cu13/lib soname package wheels=()
    shift
    while read -r soname package; do
        [[ -n $soname ]] || continue
        if [[ -e $cuda_toolkit/$soname ]]; then
            # Torch looks there first, so the toolkit needs no entry in the loader's configuration.
            mkdir -p "$folder"
            ln -sfn "$cuda_toolkit/$soname" "$folder/$soname"
        else
            wheels+=("$package")
        fi
    done <<<"$cuda_libraries"
    ((${#wheels[@]} == 0)) && return 0
    mapfile -t wheels < <(printf '%s\n' "${wheels[@]}" | sort -u)
    for package in "${wheels[@]}"; do
        # The toolkit's wheel is empty; its libraries are dependencies, the others have none that are wanted.
        if [[ $package == cuda-toolkit* ]]; then "$@" "$package"; else "$@" --no-deps "$package"; fi
    done
}
