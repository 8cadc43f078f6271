# Loads the kernel's own sound driver, or makes it let go of the card: kernel-driver.sh load|unload
case $1 in
  load)
    while read -r module; do
      case $module in snd* | soundcore*) insmod "/modules/$module" || exit 1 ;; esac
    done < /modules/order
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      [ -e /dev/snd/pcmC0D0p ] && exit 0
      sleep 1
    done
    echo 'the driver made no sound card'
    exit 1
    ;;
  unload)
    echo vsnd-0 > /sys/bus/xen/drivers/vsnd/unbind
    for module in snd_xen_front snd_pcm snd_timer snd soundcore; do rmmod "$module"; done
    ;;
esac
