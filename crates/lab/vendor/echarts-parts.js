import * as echarts from 'echarts/core';
import { LineChart, BarChart, HeatmapChart, CustomChart, ScatterChart } from 'echarts/charts';
import { GridComponent, TooltipComponent, LegendComponent, VisualMapComponent, MarkAreaComponent, MarkLineComponent, AriaComponent } from 'echarts/components';
import { SVGRenderer } from 'echarts/renderers';
import { LabelLayout } from 'echarts/features';
echarts.use([LineChart, BarChart, HeatmapChart, CustomChart, ScatterChart, GridComponent, TooltipComponent, LegendComponent, VisualMapComponent, MarkAreaComponent, MarkLineComponent, AriaComponent, SVGRenderer, LabelLayout]);
window.echarts = echarts;
