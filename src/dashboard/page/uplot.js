// Stands for the chart library: in a checkout the server sends its installed file by this name, a build puts it into the page's script.
export { default } from "uplot"
